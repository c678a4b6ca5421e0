// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prometheusConfig is the configuration of a Prometheus with one target and
// with rules.
const prometheusConfig = `
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: ["$RULES"]
scrape_configs:
  - job_name: caddy
    static_configs: [{targets: ["$TARGET"]}]
`

// A prometheus is a running Prometheus.
type prometheus struct {
	*client

	// at is the time of queries, or zero for now. On a busy machine a scrape may
	// fail, and then there are no values for now.
	at time.Time
}

// startPrometheus starts a Prometheus that scrapes a target and evaluates
// rules. It waits until the Prometheus serves. The Prometheus ends with the
// test.
func startPrometheus(tb testing.TB, path, target, rules string) *prometheus {
	tb.Helper()
	dir, address := tb.TempDir(), freeAddress(tb)
	config, ruleFile := filepath.Join(dir, "prometheus.yml"), filepath.Join(dir, "rules.yml")
	for name, text := range map[string]string{
		ruleFile: rules,
		config:   strings.NewReplacer("$TARGET", target, "$RULES", ruleFile).Replace(prometheusConfig),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	var log strings.Builder
	command := exec.CommandContext(context.WithoutCancel(tb.Context()), path, "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(testTimeout, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		if late.Stop(); tb.Failed() {
			tb.Log(log.String())
		}
	})
	p := &prometheus{client: newClient(tb, address, 1)}
	await(tb, "Prometheus serves", func() bool {
		got, err := p.send(http.MethodGet, "/-/ready", nil)
		return err == nil && got.status == http.StatusOK
	})
	return p
}

// A sample is an element of the result of a query.
type sample struct {
	labels map[string]string
	value  float64
}

// query returns the result of an expression.
func (p *prometheus) query(tb testing.TB, expression string) []sample {
	tb.Helper()
	form := url.Values{"query": {expression}}
	if !p.at.IsZero() {
		form.Set("time", p.at.Format(time.RFC3339Nano))
	}
	got := p.get(tb, "/api/v1/query?"+form.Encode())
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // the time, and the value as text
			}
		}
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.Error != "" {
		tb.Fatalf("%s: error %v: %s", expression, err, got.body)
	}
	var all []sample
	for _, result := range answer.Data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(result.Value[1]), 64)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, sample{result.Metric, value})
	}
	return all
}

// number returns the value of an expression that has one sample, or NaN if it
// has none.
func (p *prometheus) number(tb testing.TB, expression string) float64 {
	tb.Helper()
	switch all := p.query(tb, expression); len(all) {
	case 0:
		return math.NaN()
	case 1:
		return all[0].value
	default:
		tb.Fatalf("%s comes to %d numbers", expression, len(all))
		return 0
	}
}

// firing returns the names of the alerts that fire, with the client of each.
func (p *prometheus) firing(tb testing.TB) map[string]bool {
	tb.Helper()
	all := map[string]bool{}
	for _, s := range p.query(tb, `ALERTS{alertstate="firing"}`) {
		all[s.labels["alertname"]+" "+s.labels["client"]] = true
	}
	return all
}
