// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/promql/parser"
)

// A series is a metric of Prometheus, with the values of its labels.
type series map[string][]string

// golden returns the metrics of telemetry's golden file, named as
// OpenTelemetry's exporters translate them for Prometheus.
func golden(t *testing.T) map[string]series {
	t.Helper()
	text, err := os.ReadFile("../../telemetry/testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]otlptranslator.MetricType{
		"counter":       otlptranslator.MetricTypeMonotonicCounter,
		"updowncounter": otlptranslator.MetricTypeNonMonotonicCounter,
		"histogram":     otlptranslator.MetricTypeHistogram,
	}
	all := map[string]series{}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if len(f) != 5 || strings.HasPrefix(line, "#") {
			continue
		}
		namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
		name, err := namer.Build(otlptranslator.Metric{Name: f[0], Unit: f[2], Type: types[f[1]]})
		if err != nil {
			t.Fatal(err)
		}
		names := []string{name}
		if f[1] == "histogram" {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, name := range names {
			if all[name] == nil {
				all[name] = series{"job": nil, "instance": nil, "client": nil}
			}
			for pair := range strings.SplitSeq(strings.TrimSuffix(f[3], "-"), ", ") {
				if key, value, ok := strings.Cut(pair, "="); ok {
					label, err := new(otlptranslator.LabelNamer).Build(key)
					if err != nil {
						t.Fatal(err)
					}
					all[name][label] = append(all[name][label], value)
				}
			}
			if strings.HasSuffix(name, "_bucket") {
				all[name]["le"] = nil
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only %d metrics", len(all))
	}
	return all
}

// parse parses an expression as Prometheus does.
func parse(expression string) (parser.Expr, error) {
	for _, variable := range []string{"$__rate_interval", "$__range"} { // Variables of Grafana.
		expression = strings.ReplaceAll(expression, variable, "5m")
	}
	return parser.NewParser(parser.Options{}).ParseExpr(expression)
}

// check parses an expression as Prometheus does. It checks that the metrics,
// labels and label values in it exist.
func check(t *testing.T, what, expression string, known map[string]series) {
	t.Helper()
	root, err := parse(expression)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	names := map[string]bool{}
	parser.Inspect(root, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			names[s.Name] = true
			checkSelector(t, what, s, known[s.Name])
		}
		return nil
	})
	if len(names) == 0 {
		t.Errorf("%s names no metric: %s", what, expression)
	}
	parser.Inspect(root, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range a.Grouping {
				if !anyHas(known, names, label) {
					t.Errorf("%s groups by %s, which is not a label of the metrics", what, label)
				}
			}
		}
		return nil
	})
}

func anyHas(known map[string]series, names map[string]bool, label string) bool {
	for name := range names {
		if _, ok := known[name][label]; ok {
			return true
		}
	}
	return false
}

func checkSelector(t *testing.T, what string, s *parser.VectorSelector, labels series) {
	t.Helper()
	if labels == nil {
		t.Errorf("%s names %s, which is not a metric", what, s.Name)
		return
	}
	for _, m := range s.LabelMatchers {
		values, ok := labels[m.Name]
		if !ok && m.Name != "__name__" {
			t.Errorf("%s: %s has no label %s", what, s.Name, m.Name)
		}
		for value := range strings.SplitSeq(m.Value, "|") {
			if len(values) != 0 && value != "" && !slices.Contains(values, value) {
				t.Errorf("%s: %s is never %q", what, m.Name, value)
			}
		}
	}
}

// A dashboard is a Grafana dashboard.
type dashboard struct {
	Panels     []panel
	Templating struct {
		List []struct{ Name, AllValue string }
	}
}

// A panel is a panel of the dashboard.
type panel struct {
	Title, Type string
	Targets     []struct{ Expr string }
	FieldConfig struct{ Defaults struct{ NoValue string } }
}

func load(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func panels(t *testing.T) []panel { return load(t).Panels }

// expressions returns the expressions of all panels.
func expressions(t *testing.T) (all []string) {
	t.Helper()
	for _, panel := range panels(t) {
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	return all
}

func TestDashboard_NamesExistingMetrics(t *testing.T) {
	known := golden(t)
	questions := 0
	for _, panel := range panels(t) {
		if panel.Type == "row" {
			questions++
			continue
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s has no expression", panel.Title)
		}
		for _, target := range panel.Targets {
			check(t, panel.Title, target.Expr, known)
		}
	}
	if questions != 6 {
		t.Errorf("the dashboard answers %d questions, want 6", questions)
	}
}

func TestDashboard_ShowsEveryMetric(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	for name := range golden(t) {
		if base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count"); !strings.Contains(string(text), base) {
			t.Errorf("%s is not on the dashboard", base)
		}
	}
}

// divisions calls look for each division in an expression.
func divisions(t *testing.T, expression string, look func(*parser.BinaryExpr)) {
	t.Helper()
	root, err := parse(expression)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(root, func(node parser.Node, _ []parser.Node) error {
		if b, ok := node.(*parser.BinaryExpr); ok && b.Op == parser.DIV {
			look(b)
		}
		return nil
	})
}

// Counters begin at zero, and 0/0 is NaN. A panel would show NaN instead of its
// text for no calls.
func TestDashboard_DividesByNoZero(t *testing.T) {
	for _, expression := range expressions(t) {
		divisions(t, expression, func(b *parser.BinaryExpr) {
			divisor := b.RHS
			if paren, ok := divisor.(*parser.ParenExpr); ok {
				divisor = paren.Expr
			}
			if filter, ok := divisor.(*parser.BinaryExpr); !ok || filter.Op != parser.GTR || filter.RHS.String() != "0" {
				t.Errorf("the expression may divide by zero: %s", b)
			}
		})
	}
}

// A panel without failures is empty, and must say so.
func TestDashboard_ExplainsEmptyPanels(t *testing.T) {
	for _, panel := range panels(t) {
		mayBeEmpty := false
		for _, target := range panel.Targets {
			root, err := parse(target.Expr)
			if err != nil {
				t.Fatal(err)
			}
			parser.Inspect(root, func(node parser.Node, _ []parser.Node) error {
				b, ok := node.(*parser.BinaryExpr)
				mayBeEmpty = mayBeEmpty || ok && b.Op.IsComparisonOperator()
				return nil
			})
		}
		if mayBeEmpty && panel.FieldConfig.Defaults.NoValue == "" {
			t.Errorf("%s has no noValue", panel.Title)
		}
	}
}

// The dashboard must be able to show one of several clients. It must also show
// a client without a name, such as a Go program.
func TestDashboard_SelectsTheClient(t *testing.T) {
	for _, name := range []string{"job", "client"} {
		found := false
		for _, variable := range load(t).Templating.List {
			found = found || variable.Name == name && variable.AllValue == ".*"
		}
		if !found {
			t.Errorf("there is no variable %s that can be all", name)
		}
		for _, expression := range expressions(t) {
			selectors, selected := strings.Count(expression, "{"), strings.Count(expression, name+`=~"$`+name+`"`)
			if selected == 0 || selectors != selected {
				t.Errorf("the expression does not select the %s: %s", name, expression)
			}
		}
	}
}
