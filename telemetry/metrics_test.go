// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

func TestMetrics_AccountsMakeNoSeries(t *testing.T) {
	pismo := passporttest.NewInProcess(t, passporttest.Config{})
	s := newFixture(t, pismo, pismo.RoundTripper())
	tel := newTelemetry(t, telemetry.WithMeterProvider(s.meters), telemetry.WithTracerProvider(tracenoop.NewTracerProvider()))
	source, err := tokensource.New(tokensource.Config{Issuer: staticIssuer{}, Hooks: tel.SourceHooks()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tel.ObserveSource(source); err != nil {
		t.Fatal(err)
	}
	ask := func(n int) {
		for range 2 {
			if _, err := source.Token(t.Context(), accountNumber(t, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(1)
	before := len(strings.Split(s.renderMetrics(), "\n"))
	for n := range 10_000 {
		ask(n + 1)
	}
	if after := len(strings.Split(s.renderMetrics(), "\n")); after != before {
		t.Errorf("%d series with 10,000 accounts, %d with one", after, before)
	}
}

// A staticIssuer issues the token "x" without a network.
type staticIssuer struct{}

func (staticIssuer) Issue(context.Context, tokensource.Account) (tokensource.Grant, error) {
	return tokensource.Grant{Token: tokensource.NewSecret("x")}, nil
}

func TestMetrics_AtMost200Series(t *testing.T) {
	pismo := passporttest.NewInProcess(t, passporttest.Config{})
	s := newFixture(t, pismo, pismo.RoundTripper())
	tel := newTelemetry(t, telemetry.WithMeterProvider(s.meters), telemetry.WithTracerProvider(tracenoop.NewTracerProvider()))
	source, requests := tel.SourceHooks(), tel.TransportHooks()
	org := tokensource.Organization()
	errs := []error{nil, tokensource.NewError("made up by an issuer", nil), context.DeadlineExceeded}
	for _, kind := range kindsOfError(t) {
		errs = append(errs, tokensource.NewError(kind, nil))
	}
	for _, err := range errs {
		for _, reason := range []tokensource.IssueReason{tokensource.ReasonCold, tokensource.ReasonExpired, tokensource.ReasonRefused, tokensource.ReasonAhead, tokensource.ReasonSuspected} {
			_, done := source.Issue(t.Context(), t.Context(), tokensource.IssueInfo{Account: org, Reason: reason})
			done(tokensource.IssueResult{Err: err})
		}
		for _, origin := range []tokensource.TokenOrigin{tokensource.OriginCached, tokensource.OriginStale, tokensource.OriginIssued, tokensource.OriginJoined, tokensource.OriginSuppressed} {
			if _, done := source.Acquire(t.Context(), tokensource.AcquireInfo{Account: org, Origin: origin}); done != nil {
				done(tokensource.AcquireResult{Err: err})
			}
		}
	}
	for _, verdict := range []transport.Verdict{transport.TokenRefused, transport.AccountRefused, transport.RequestRefused, transport.Unrecognized, "made up by a Classify function", "and another"} {
		for _, outcome := range []transport.RefusedOutcome{transport.OutcomeReplayed, transport.OutcomeNotReplayable, transport.OutcomeNotRenewed, transport.OutcomePassed} {
			for _, replayed := range []bool{false, true} {
				_, done := requests.Refused(t.Context(), transport.RefusedInfo{Account: org, Verdict: verdict, Replayed: replayed})
				done(transport.RefusedResult{Outcome: outcome})
			}
		}
	}
	series := strings.Count(s.renderMetrics(), "\n")
	if series > 200 || series < 100 {
		t.Errorf("got %d series, want 100 to 200", series)
	}
	if strings.Contains(s.renderMetrics(), "made up") {
		t.Error("a made-up value created a series")
	}
}

// kindsOfError returns the kinds that package tokensource declares.
func kindsOfError(t *testing.T) (kinds []tokensource.ErrorKind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../tokensource/errorkind.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "ErrorKind" {
				value, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				kinds = append(kinds, tokensource.ErrorKind(value))
			}
		}
		return true
	})
	return kinds
}

func TestMetrics_NameEveryErrorKind(t *testing.T) {
	kinds := kindsOfError(t)
	if len(kinds) < 12 {
		t.Fatalf("only %d kinds were found", len(kinds))
	}
	for _, kind := range kinds {
		provider, spans := newRecorder()
		hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
		_, done := hooks.Acquire(context.Background(), tokensource.AcquireInfo{Account: tokensource.Organization(), Origin: tokensource.OriginJoined})
		done(tokensource.AcquireResult{Err: tokensource.NewError(kind, nil)})
		attributes := render(spans.Ended()[0].Attributes())
		if named := strings.Contains(attributes, "error.type="+string(kind)); named != (kind != tokensource.ErrCanceled) {
			t.Errorf("%s has the attributes %s", kind, attributes)
		}
	}
}

func TestObserveSource_SourcesAddUp(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	s := newFixture(t, pismo, http.DefaultTransport) // The fixture observes its own Source.
	tel := newTelemetry(t, telemetry.WithMeterProvider(s.meters))
	second := newSource(t, pismo, tokensource.Hooks{})
	registration, err := tel.ObserveSource(second)
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []*tokensource.Source{s.source, second} {
		if _, err := source.Token(t.Context(), alice(t)); err != nil {
			t.Fatal(err)
		}
	}
	cached := func() (n int64) {
		for _, m := range s.collect() {
			if m.Name == "pismo.token.cached" {
				n = m.Data.(metricdata.Sum[int64]).DataPoints[0].Value
			}
		}
		return n
	}
	if n := cached(); n != 2 {
		t.Errorf("%d tokens are cached, want 2", n)
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if n := cached(); n != 1 {
		t.Errorf("%d tokens are cached after one Source was collected, want 1", n)
	}
	if _, err := tel.ObserveSource(nil); err == nil {
		t.Error("ObserveSource accepts a nil Source")
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestMetrics_DurationIsTheWholeWait(t *testing.T) {
	for _, sc := range scenarios {
		if sc.name == "token endpoint hangs" {
			runScenario(t, sc, func(s *fixture) {
				for _, m := range s.collect() {
					data, ok := m.Data.(metricdata.Histogram[float64])
					for _, p := range data.DataPoints {
						want := 10 * time.Second
						if strings.Contains(render(p.Attributes.ToSlice()), "joined") {
							want = time.Second
						}
						if len(p.Bounds) != 14 || p.Bounds[0] != 0.005 || p.Bounds[13] != 10 {
							s.Errorf("%s: the buckets are %v, want those of the conventions for HTTP", m.Name, p.Bounds)
						}
						if ok && p.Sum != want.Seconds() {
							s.Errorf("%s: %v s, want %v", m.Name, p.Sum, want)
						}
					}
				}
			})
			return
		}
	}
	t.Error("the scenario is missing")
}
