// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/telemetry"
)

// The test searches the spans and the metrics of each scenario for secrets,
// including the spans of HTTP requests.
func TestTelemetry_HoldsNoSecret(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			runScenario(t, sc, func(s *fixture) {
				text := s.allTelemetry()
				if !strings.Contains(text, "pismo.token.issue") {
					t.Fatal("there is no span of an issuance")
				}
				for _, secret := range s.secrets() {
					if strings.Contains(text, secret) {
						t.Errorf("the telemetry has %q: %s", secret, text)
					}
				}
			})
		})
	}
}

// secrets returns the texts that must not be in telemetry.
func (s *fixture) secrets() []string {
	all := []string{aliceID, sentinelQuery, "sentinel-query", s.pismo.ServerKey(), s.pismo.ServerSecret(), "TN-", "Bearer", "eyJ", sentinelBody}
	if tok, err := s.source.Token(s.Context(), s.account); err == nil {
		all = append(all, tok.Reveal())
	}
	return all
}

// allTelemetry returns all spans and metrics as text, including unexported
// fields.
func (s *fixture) allTelemetry() string {
	var b bytes.Buffer
	for _, span := range s.spans.Ended() {
		fmt.Fprintf(&b, "%s %s %+v %+v %v %+v %+v\n", span.Name(), span.SpanKind(), span.Status(), span.Links(), span.Events(), span.Resource(), span.InstrumentationScope())
		for _, a := range span.Attributes() {
			fmt.Fprintf(&b, "%s=%s\n", a.Key, a.Value.String())
		}
	}
	for _, m := range s.collect() {
		fmt.Fprintf(&b, "%+v\n", m)
	}
	return b.String()
}

func TestLogger_LogsNoSecret(t *testing.T) {
	for _, sc := range scenarios {
		if sc.sendsNothing() {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			log := new(logBuffer)
			play := sc.run
			sc.run = func(s *fixture) {
				logger := telemetry.NewLogger(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
				s.fleetHooks = logger.FleetHooks()
				s.build(logger.SourceHooks(), logger.TransportHooks())
				play(s)
			}
			runScenario(t, sc, func(s *fixture) {
				if !strings.Contains(log.String(), "issu") {
					t.Fatal("nothing was logged")
				}
				for _, secret := range s.secrets() {
					if strings.Contains(log.String(), secret) {
						t.Errorf("%q is logged: %s", secret, log.String())
					}
				}
			})
		})
	}
}
