package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// dashboards is where the dashboard and the alerts are.
const dashboards = "../../examples/dashboard/"

// A panel is one of the dashboard that shows something.
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

// window is a time that is longer than the test, in Prometheus's words.
const window = "30m"

// shown returns the expression of a panel over the whole of the test.
func shown(expression string) string {
	return strings.NewReplacer("$job", ".*", "$client", ".*", "$__rate_interval", window, "$__range", window).Replace(expression)
}

// rated matches the rates and increases of counters.
var rated = regexp.MustCompile(`(?:rate|increase)\((\w+\{[^}]*\})\[\w+\]\)`)

// counted returns the expression of a panel with the counters themselves in place
// of their rates and increases. As they begin at zero, that is what has been
// counted, in the whole of the test.
func counted(expression string) string { return rated.ReplaceAllString(shown(expression), "$1") }

// hurried returns the alert rules with seconds for minutes, and with minutes for
// hours.
func hurried(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(dashboards + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	faster := regexp.MustCompile(`(\[|for: )(\d+)m\b`).ReplaceAllString(string(text), "${1}${2}s")
	return strings.ReplaceAll(faster, "[1h]", "[1m]")
}

// A watched is a server with two clients, watched by a Prometheus.
type watched struct {
	*testing.T
	*prometheus
	main, small     platform
	toMain, toSmall *client
	metrics         *client

	got, failed map[string]int // requests, by the name of the client
}

func newWatched(t *testing.T, path string) *watched {
	w := &watched{T: t, got: map[string]int{}, failed: map[string]int{}}
	w.main, w.small = newPlatform(t, passporttest.Config{}), newPlatform(t, passporttest.Config{})
	main, small, metrics := freeport.Address(t), freeport.Address(t), freeport.Address(t)
	start(t, setup{
		global: block("pismo",
			block("client main", "base_url "+w.main.URL(), "server_key {env.MAIN_KEY}", "server_secret {env.MAIN_SECRET}"),
			block("client small", "base_url "+w.small.URL(), "server_key {env.SMALL_KEY}", "server_secret {env.SMALL_SECRET}")),
		sites: block("http://"+main, "bind 127.0.0.1", block("map {http.request.header.X-Account} {account}", `~^(\d+)$ "${1}"`),
			block("pismo_proxy "+w.main.Host(), "client main", "account {account}")) + "\n" +
			block("http://"+small, "bind 127.0.0.1", block("pismo_proxy "+w.small.Host(), "client small", "account organization")) + "\n" +
			block("http://"+metrics, "bind 127.0.0.1", "metrics") + "\n",
		env: []string{
			"MAIN_KEY=" + w.main.ServerKey(), "MAIN_SECRET=" + w.main.ServerSecret(),
			"SMALL_KEY=" + w.small.ServerKey(), "SMALL_SECRET=" + w.small.ServerSecret(),
		},
	})
	w.toMain, w.toSmall, w.metrics = newClient(t, main, 1), newClient(t, small, 1), newClient(t, metrics, 1)
	w.prometheus = startPrometheus(t, path, metrics, hurried(t))
	return w
}

// visit sends a request for an account, through the client main.
func (w *watched) visit(account string, body io.Reader) int {
	w.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	got, err := w.toMain.send(method, "/v1/accounts/"+account, body, "X-Account", account)
	if err != nil {
		w.Fatal(err)
	}
	w.note("main", got)
	return got.status
}

// visitSmall sends a request through the client small.
func (w *watched) visitSmall() { w.note("small", w.toSmall.get(w, "/v1/organization")) }

// note notes whether there was a token for a request: without one, it is answered
// with the problem of the token endpoint.
func (w *watched) note(name string, got reply) {
	for _, problem := range []string{"#unavailable", "#credentials-rejected", "#account-rejected"} {
		if strings.Contains(got.body, problem) {
			w.failed[name]++
			return
		}
	}
	w.got[name]++
}

// The tokens that load has refused, and how many of those requests are healed.
const refusedInLoad, healedInLoad = 9, 5

// load makes requests of all kinds through the client main, over a few scrapes.
func (w *watched) load() {
	w.Helper()
	everybody := func() {
		for account := range 5 {
			check(w, "status", w.visit(fmt.Sprint(1001+account), nil), http.StatusOK)
		}
	}
	everybody()
	w.main.RevokeAll()
	everybody() // Five are healed.
	w.main.Refuse(passporttest.Refusal{}.Times(2))
	w.visit("1001", nil) // Sent again, and refused again.
	for range 3 {
		w.main.Refuse(passporttest.Refusal{})
		w.visit("1002", io.LimitReader(strings.NewReader("{}"), 2)) // Not to be sent again.
	}
	for range 2 {
		w.main.Refuse(passporttest.MustRefusal("EUPI0120"))
		w.visit("1003", nil) // An answer.
	}
	scrapes := w.scrapes()
	until(w, "there are more scrapes", func() bool {
		everybody()
		return w.scrapes() >= scrapes+4
	})
}

// scrapes returns how often the server has been scraped.
func (w *watched) scrapes() float64 { return w.number(w, "count_over_time(up["+window+"])") }

// outage has both token endpoints fail until the alerts fire that must.
func (w *watched) outage() {
	w.Helper()
	w.main.FailAlways(passporttest.Status(http.StatusInternalServerError))
	w.small.FailAlways(passporttest.Status(http.StatusUnauthorized))
	must := []string{"PismoTokensNotHad main", "PismoTokensNotHad small", "PismoSourceCooling main", "PismoCredentialsRejected small"}
	account := 2000
	var firing map[string]bool
	until(w, "the alerts of an outage fire", func() bool {
		account++
		w.visit(fmt.Sprint(account%5+2000), nil)
		w.visit("1001", nil) // Has a token.
		w.visitSmall()
		firing = w.firing(w)
		return !slices.ContainsFunc(must, func(alert string) bool { return !firing[alert] })
	})
	for _, alert := range []string{"PismoCredentialsRejected main", "PismoInstanceWithoutTokens main", "PismoInstanceWithoutTokens small"} {
		if firing[alert] {
			w.Errorf("%s fires in an outage", alert)
		}
	}
	w.main.Heal()
	w.small.Heal()
}

// settle waits until Prometheus has seen what the server has counted last. From
// then on, queries are about the scrape that has it.
func (w *watched) settle() {
	w.Helper()
	raw := totals(w.metrics.get(w, "/metrics").body)
	until(w, "Prometheus has scraped the last values", func() bool {
		w.at = time.Time{}
		last := w.number(w, "max(timestamp(pismo_token_cached))")
		if math.IsNaN(last) {
			return false // The last scrape has failed.
		}
		w.at = time.UnixMilli(int64(math.Round(last * 1000)))
		for name, total := range raw {
			if sum := w.number(w, "sum("+name+")"); !(math.Abs(sum-total) <= 1e-6*total) { // NaN, too.
				return false
			}
		}
		return true
	})
	if len(raw) < 8 {
		w.Errorf("the server has only the metrics %v", slices.Collect(maps.Keys(raw)))
	}
}

// totals returns the sums of the series of each of our metrics.
func totals(text string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, "{"); ok && strings.HasPrefix(name, "pismo_") {
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndex(line, "}")+1:], &value); err == nil {
				all[name] += value
			}
		}
	}
	return all
}

// What a panel shows must be what was counted. Series that began above zero made
// a panel show that all refused tokens were healed, where a sixth of them was.
func TestDashboard_ShowsWhatWasCounted(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Log("LEFT OUT: the test of the dashboard with a real Prometheus. There is none.")
		return
	}
	w := newWatched(t, path)
	until(t, "Prometheus has scraped the zeros", func() bool { return w.number(t, "count(pismo_token_acquisitions_total)") > 60 })
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			for _, s := range w.query(t, shown(target.Expr)) {
				if s.value != 0 { // NaN, too.
					t.Errorf("%s shows %v before the first request: %v", p.Title, s.value, s.labels)
				}
			}
		}
	}
	w.load()
	for alert := range w.firing(t) {
		if !strings.HasPrefix(alert, "PismoRefusedTokensNotHealed") && !strings.HasPrefix(alert, "PismoCallersWait") {
			t.Errorf("%s fires, and the token endpoint works", alert)
		}
	}
	w.outage()
	w.settle()

	for _, p := range panels(t) {
		for _, target := range p.Targets {
			w.compare(p.Title, target.Expr)
		}
	}
	// What the clients have seen, and the platform.
	for _, name := range []string{"main", "small"} {
		selected := `{client="` + name + `"}`
		check(t, "requests counted", int(w.number(t, "sum(pismo_token_acquisitions_total"+selected+")")), w.got[name]+w.failed[name])
		share := float64(w.got[name]) / float64(w.got[name]+w.failed[name])
		w.wantShare("Callers with a token", name, share)
	}
	w.wantShare("Refused tokens healed", "main", float64(healedInLoad)/refusedInLoad)
	check(t, "issuances", int(w.number(t, `sum(pismo_token_issuances_total{client="main", error_type=""})`)), w.main.Counts().Issued)
}

// compare compares what a panel shows with what was counted.
func (w *watched) compare(title, expression string) {
	w.Helper()
	want := map[string]float64{}
	for _, s := range w.query(w, counted(expression)) {
		want[fmt.Sprint(s.labels)] = s.value
	}
	got := w.query(w, shown(expression))
	// Histograms begin above zero: what was counted first is not seen.
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
func (w *watched) wantShare(title, name string, want float64) {
	w.Helper()
	for _, p := range panels(w.T) {
		if p.Title != title {
			continue
		}
		for _, s := range w.query(w, shown(p.Targets[0].Expr)) {
			if s.labels["client"] == name && math.Abs(s.value-want) < 0.01 {
				return
			}
		}
	}
	w.Errorf("%s does not show %.3f of %s", title, want, name)
}
