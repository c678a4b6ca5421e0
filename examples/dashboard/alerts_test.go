// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// A rule is an alerting rule.
type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	read(t, "alerts.yml", &file)
	return file.Groups[0].Rules
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestAlerts_UseExistingMetrics(t *testing.T) {
	known := golden(t)
	rules := alerts(t)
	if len(rules) < 7 {
		t.Errorf("found only %d rules", len(rules))
	}
	for _, rule := range rules {
		check(t, rule.Alert, rule.Expr, known)
		if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
			t.Errorf("%s has no severity or no summary", rule.Alert)
		}
	}
}

// With one scrape per minute, a range of less than three minutes can have only
// one sample, which has no rate.
func TestAlerts_LookAtThreeMinutesOrMore(t *testing.T) {
	for _, rule := range alerts(t) {
		whole, err := parse(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(whole, func(node parser.Node, _ []parser.Node) error {
			if m, ok := node.(*parser.MatrixSelector); ok && m.Range < 3*time.Minute {
				t.Errorf("%s has the range %s, want 3m or more", rule.Alert, m.Range)
			}
			return nil
		})
	}
}

// A series that begins above zero has no increase. Counters begin at zero, but
// histograms do not. So alerts use histograms for durations only.
func TestAlerts_CountWithCounters(t *testing.T) {
	for _, rule := range alerts(t) {
		whole, err := parse(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(whole, func(node parser.Node, _ []parser.Node) error {
			if s, ok := node.(*parser.VectorSelector); ok && strings.HasSuffix(s.Name, "_count") {
				t.Errorf("%s counts with the histogram %s", rule.Alert, s.Name)
			}
			return nil
		})
	}
}

// The traffic of one client must not hide the failures of another.
func TestAlerts_AreOfOneClient(t *testing.T) {
	for _, rule := range alerts(t) {
		whole, err := parse(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(whole, func(node parser.Node, _ []parser.Node) error {
			if a, ok := node.(*parser.AggregateExpr); ok && !slices.Contains(a.Grouping, "client") {
				t.Errorf("%s aggregates over clients: %s", rule.Alert, a)
			}
			return nil
		})
	}
}

// The runbook must say what to do for each alert.
func TestAlerts_HaveARunbook(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, rule := range alerts(t) {
		names[rule.Alert] = true
		if line := `| <a name="` + rule.Alert + `"></a>` + "`" + rule.Alert + "` |"; strings.Count(string(text), line) != 1 {
			t.Errorf("README.md has no runbook entry for %s", rule.Alert)
		}
		if !strings.HasSuffix(rule.Annotations["runbook_url"], "/examples/dashboard/README.md#"+rule.Alert) {
			t.Errorf("%s has the runbook %q", rule.Alert, rule.Annotations["runbook_url"])
		}
	}
	for part := range strings.SplitSeq(string(text), `<a name="`) {
		if name, _, ok := strings.Cut(part, `"></a>`); ok && !names[name] {
			t.Errorf("README.md has a runbook entry for %s, which is not an alert", name)
		}
	}
}

// Each alert has a case in which it fires and a case in which it does not.
func TestAlerts_HaveCases(t *testing.T) {
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, "alerts_test.yml", &file)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Expected) > 0 {
				fires[c.Alert] = true
			} else {
				silent[c.Alert] = true
			}
		}
	}
	for _, rule := range alerts(t) {
		if !fires[rule.Alert] || !silent[rule.Alert] {
			t.Errorf("%s: has a case in which it fires: %v, has a case in which it is silent: %v, want both", rule.Alert, fires[rule.Alert], silent[rule.Alert])
		}
	}
}

func TestAlerts_FireAndAreSilentInTheirCases(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("LEFT OUT: the cases of the alerts. There is no promtool.")
		return
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v: %s", err, out)
		}
	}
}
