package telemetry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/telemetry"
)

// TestNothingSecretIsTold looks for secrets in everything that the spans of this
// package, the metrics and the logs hold after each scenario. The spans of HTTP
// requests are another's, and have the path, as url.full; the query is taken out.
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
			if a.Key != "url.full" {
				fmt.Fprintf(&b, "%s=%s\n", a.Key, a.Value.String())
				continue
			}
			fmt.Fprintln(&b, strings.TrimSuffix(a.Value.String(), "/v1/accounts/"+aliceID))
		}
	}
	for _, m := range s.collect() {
		fmt.Fprintf(&b, "%+v\n", m)
	}
	return b.String()
}

func TestNothingSecretIsLogged(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			log := new(journal)
			play := sc.play
			sc.play = func(s *stage) {
				s.build(telemetry.LogHooks(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
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
