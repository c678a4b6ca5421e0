// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A setup is a program with all layers on one issuer.
type setup struct {
	pismo      *passporttest.Server
	source     *tokensource.Source
	proxy      string // its URL
	middleware string
	spans      *tracetest.InMemoryExporter
	log        *syncBuffer
}

func newSetup(t *testing.T, newIssuer func(*passporttest.Server) tokensource.Issuer) *setup {
	t.Helper()
	s := &setup{pismo: passporttest.NewServer(t, passporttest.Config{}), spans: tracetest.NewInMemoryExporter(), log: new(syncBuffer)}
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	tel, err := telemetry.New(telemetry.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(s.spans))))
	must(err)
	logger := slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	lines := telemetry.NewLogger(logger)
	s.source, err = tokensource.New(tokensource.Config{Issuer: newIssuer(s.pismo), Hooks: tokensource.JoinHooks(tel.SourceHooks(), lines.SourceHooks())})
	must(err)
	authenticated, err := transport.New(transport.Config{
		Source: s.source, Hosts: []string{s.pismo.Host()}, Hooks: tel.TransportHooks(), Base: telemetry.AnnotateSpans(s.pismo.Client().Transport),
	})
	must(err)
	target, err := url.Parse(s.pismo.URL())
	must(err)
	account := func(*http.Request) (tokensource.Account, error) { return tokensource.ParseAccountID("42") }
	proxy, err := middleware.NewProxy(middleware.ProxyConfig{Target: target, Transport: authenticated, Account: account, Logger: logger})
	must(err)
	m, err := middleware.New(middleware.Config{Source: s.source, Account: account, Logger: logger})
	must(err)
	client := &http.Client{Transport: authenticated}
	s.proxy = serve(t, proxy)
	s.middleware = serve(t, m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.pismo.URL()+r.URL.Path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			middleware.AnswerProblem(w, r, err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})))
	return s
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// do sends a request, and returns the status and the body.
func (s *setup) do(t *testing.T, method, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.pismo.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		return resp.Status // The body has an id.
	}
	return resp.Status + " " + string(body)
}

// A syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// scenarios test the layers above an issuer. Their results do not depend on the
// issuer.
var scenarios = []struct {
	name string
	run  func(t *testing.T, s *setup) string
	want string

	issued, renewed int // spans
}{
	{"middleware", func(t *testing.T, s *setup) string {
		return s.do(t, http.MethodGet, s.middleware+"/v1/accounts/42")
	}, `200 OK {"account_id":42,"status":"NORMAL"}`, 1, 0},
	{"proxy", func(t *testing.T, s *setup) string {
		return s.do(t, http.MethodGet, s.proxy+"/v1/accounts/42")
	}, `200 OK {"account_id":42,"status":"NORMAL"}`, 1, 0},
	{"another account", func(t *testing.T, s *setup) string {
		return s.do(t, http.MethodGet, s.proxy+"/v1/accounts/43")
	}, `401 Unauthorized {"code": "WCAC0001", "message": "Account not authorized"}`, 1, 0},
	{"payment", func(t *testing.T, s *setup) string {
		return s.do(t, http.MethodPost, s.proxy+"/v1/payments")
	}, `201 Created`, 1, 0},
	{"revoked token", func(t *testing.T, s *setup) string {
		s.do(t, http.MethodGet, s.proxy+"/v1/accounts/42")
		s.pismo.Revoke("42")
		return s.do(t, http.MethodGet, s.proxy+"/v1/accounts/42") + fmt.Sprint(" ", s.pismo.Counts().Issued)
	}, `200 OK {"account_id":42,"status":"NORMAL"} 2`, 2, 1},
	{"business answer", func(t *testing.T, s *setup) string {
		s.pismo.Refuse(passporttest.MustRefusal("EUPI0120"))
		return s.do(t, http.MethodPost, s.proxy+"/v1/payments") + fmt.Sprint(" ", s.pismo.Counts().Issued)
	}, `401 Unauthorized 1`, 1, 0},
	{"outage", func(t *testing.T, s *setup) string {
		s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
		status, _, _ := strings.Cut(s.do(t, http.MethodGet, s.proxy+"/v1/accounts/42"), " {")
		return status
	}, "502 Bad Gateway", 1, 0},
	{"invalidated", func(t *testing.T, s *setup) string {
		s.do(t, http.MethodGet, s.middleware+"/v1/accounts/42")
		s.source.InvalidateAll()
		return s.do(t, http.MethodGet, s.middleware+"/v1/accounts/42") + fmt.Sprint(" ", s.pismo.Counts().Issued)
	}, `200 OK {"account_id":42,"status":"NORMAL"} 2`, 2, 0},
}

// The layers above work with every issuer.
func TestIssuers_HaveTheSameScenarios(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, newIssuer := range map[string]func(*passporttest.Server) tokensource.Issuer{
		"S2S": func(s *passporttest.Server) tokensource.Issuer { return s.Issuer() },
		"OpenID": func(s *passporttest.Server) tokensource.Issuer {
			s.RegisterKey(&key.PublicKey)
			return s.OpenIDIssuer(passport.SignerKey(key), "pismo-v1:accounts:rw")
		},
	} {
		for _, scenario := range scenarios {
			t.Run(name+", "+scenario.name, func(t *testing.T) {
				s := newSetup(t, newIssuer)
				if got := scenario.run(t, s); got != scenario.want {
					t.Errorf("got %q, want %q", got, scenario.want)
				}
				spans := map[string]int{}
				for _, span := range s.spans.GetSpans() {
					spans[span.Name]++
					if strings.Contains(fmt.Sprintf("%+v", span), "eyJ") {
						t.Errorf("a span holds a token or an assertion: %+v", span)
					}
				}
				if log := s.log.String(); strings.Contains(log, "eyJ") || scenario.name == "outage" && log == "" {
					t.Errorf("the log holds a token or an assertion, or says nothing of an outage: %s", log)
				}
				if spans["pismo.token.issue"] != scenario.issued || spans["pismo.token.renew"] != scenario.renewed {
					t.Errorf("spans %v, want %d issued and %d renewed", spans, scenario.issued, scenario.renewed)
				}
			})
		}
	}
}
