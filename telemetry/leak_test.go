package telemetry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/telemetry"
)

// TestNothingSecretIsTold looks for secrets in everything that the spans and the
// metrics hold after each scenario, the spans of HTTP requests included.
func TestNothingSecretIsTold(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			enact(t, sc, func(s *stage) {
				told := s.everything()
				if !strings.Contains(told, "pismo.token.issue") {
					t.Fatal("nothing was looked at")
				}
				for _, secret := range s.secrets() {
					if strings.Contains(told, secret) {
						t.Errorf("%q is told: %s", secret, told)
					}
				}
			})
		})
	}
}

// secrets are what nobody may be told.
func (s *stage) secrets() []string {
	all := []string{aliceID, sentinelQuery, "sentinel-query", s.pismo.ServerKey(), s.pismo.ServerSecret(), "TN-", "Bearer", "eyJ", sentinelBody}
	if tok, err := s.source.Token(s.Context(), s.account); err == nil {
		all = append(all, tok.Reveal())
	}
	return all
}

// everything returns all there is in spans and metrics, down to fields that are
// not exported.
func (s *stage) everything() string {
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

func TestNothingSecretIsLogged(t *testing.T) {
	for _, sc := range scenarios[1:] { // In the first, nothing happens.
		t.Run(sc.name, func(t *testing.T) {
			log := new(journal)
			play := sc.play
			sc.play = func(s *stage) {
				logger := telemetry.NewLogger(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
				s.build(logger.SourceHooks(), logger.TransportHooks())
				play(s)
			}
			enact(t, sc, func(s *stage) {
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
