// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// dashboards is the folder of the dashboard and the alerts.
const dashboards = "../../examples/dashboard/"

// A panel is a panel of the dashboard with an expression.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
}

func panels(t *testing.T) (all []panel) {
	t.Helper()
	text, err := os.ReadFile(dashboards + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if len(p.Targets) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// window is a range that is longer than the test, in the syntax of Prometheus.
const window = "30m"

// overWholeTest returns the expression of a panel over the whole of the test.
func overWholeTest(expression string) string {
	return strings.NewReplacer("$job", ".*", "$client", ".*", "$__rate_interval", window, "$__range", window).Replace(expression)
}

// rateFunctions matches the rates and increases of counters.
var rateFunctions = regexp.MustCompile(`(?:rate|increase)\((\w+\{[^}]*\})\[\w+\]\)`)

// asCounters returns the expression of a panel with the counters in place of
// their rates and increases. The counters begin at zero, so their values are
// the counts of the whole test.
func asCounters(expression string) string {
	return rateFunctions.ReplaceAllString(overWholeTest(expression), "$1")
}

// acceleratedRules returns the alert rules with seconds in place of minutes,
// and minutes in place of hours.
func acceleratedRules(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(dashboards + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	faster := regexp.MustCompile(`(\[|for: )(\d+)m\b`).ReplaceAllString(string(text), "${1}${2}s")
	return strings.ReplaceAll(faster, "[1h]", "[1m]")
}

// A panel must show the counts. When series began above zero, a panel showed
// that all refused requests were replayed, although a sixth of them was.
func TestDashboard_ShowsWhatWasCounted(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Log("LEFT OUT: the test of the dashboard with a real Prometheus. There is none.")
		return
	}
	w := newMonitoredServer(t, path)
	await(t, "Prometheus has scraped the zeros", func() bool { return w.number(t, "count(pismo_token_acquisitions_total)") > 60 })
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			for _, s := range w.query(t, overWholeTest(target.Expr)) {
				if s.value != 0 { // This includes NaN.
					t.Errorf("%s shows %v before the first request: %v", p.Title, s.value, s.labels)
				}
			}
		}
	}
	w.load()
	for alert := range w.firing(t) {
		if !strings.HasPrefix(alert, "PismoRefusedTokensNotReplaced") && !strings.HasPrefix(alert, "PismoTokenLatencyHigh") {
			t.Errorf("%s fires although the token endpoint works", alert)
		}
	}
	w.outage()
	w.awaitScrape()

	for _, p := range panels(t) {
		for _, target := range p.Targets {
			w.compare(p.Title, target.Expr)
		}
	}
	// These are the counts of the clients and of the platform.
	for _, name := range []string{"main", "small"} {
		selected := `{client="` + name + `"}`
		check(t, "requests counted", int(w.number(t, "sum(pismo_token_acquisitions_total"+selected+")")), w.requests[name]+w.failed[name])
		share := float64(w.requests[name]) / float64(w.requests[name]+w.failed[name])
		w.wantShare("Callers with a token", name, share)
	}
	w.wantShare("Refused tokens replaced", "main", float64(replayedInLoad)/refusedInLoad)
	check(t, "issuances", int(w.number(t, `sum(pismo_token_issuances_total{client="main", error_type=""})`)), w.main.Counts().Issued)
}

// compare compares the values of a panel with the counts.
func (w *monitoredServer) compare(title, expression string) {
	w.Helper()
	want := map[string]float64{}
	for _, s := range w.query(w, asCounters(expression)) {
		want[fmt.Sprint(s.labels)] = s.value
	}
	got := w.query(w, overWholeTest(expression))
	// Histograms begin above zero, so the first counts are not seen.
	durations := strings.Contains(expression, "histogram_quantile")
	if len(got) == 0 || len(got) != len(want) && !durations {
		w.Errorf("%s shows %d series, of %d", title, len(got), len(want))
	}
	for _, s := range got {
		value, counted, tolerance := s.value, want[fmt.Sprint(s.labels)], 0.001
		switch {
		case durations:
			if math.IsNaN(value) || value <= 0 || value > 10 {
				w.Errorf("%s shows %v s: %v", title, value, s.labels)
			}
			continue
		case strings.Contains(expression, "rate(") && !strings.Contains(expression, "/"):
			// Of a second of the window. Prometheus takes it that counting goes
			// on as before until now, for a little more than a scrape.
			value *= 30 * 60 / (1 + 0.6/(w.scrapes()-1))
			tolerance = 0.01 + 0.6/(w.scrapes()-1)
		}
		if math.IsNaN(value) || math.Abs(value-counted) > tolerance*math.Abs(counted)+1e-6 {
			w.Errorf("%s shows %v, and %v was counted: %v", title, value, counted, s.labels)
		}
	}
}

// wantShare checks the share that a panel shows of a client.
func (w *monitoredServer) wantShare(title, name string, want float64) {
	w.Helper()
	for _, p := range panels(w.T) {
		if p.Title != title {
			continue
		}
		for _, s := range w.query(w, overWholeTest(p.Targets[0].Expr)) {
			if s.labels["client"] == name && math.Abs(s.value-want) < 0.01 {
				return
			}
		}
	}
	w.Errorf("%s does not show %.3f of %s", title, want, name)
}
