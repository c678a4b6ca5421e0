package telemetry_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// recorded returns a provider, and what it records.
func recorded() (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), spans
}

// issueWith has a token issued, by a caller with the context ctx.
func issueWith(ctx context.Context, hooks tokensource.Hooks, reason tokensource.IssueReason) context.Context {
	issue, done := hooks.Issue(context.Background(), ctx, tokensource.IssueInfo{Account: tokensource.Organization(), Issuance: 1, Reason: reason})
	done(tokensource.IssueResult{Serial: 1, Attempts: 1})
	return issue
}

func TestNew_UsesTheCurrentProvider(t *testing.T) {
	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	chosen, fromChosen := recorded()
	callers, fromCallers := recorded()
	global, fromGlobal := recorded()
	found := newTelemetry(t).SourceHooks()
	fixed := newTelemetry(t, telemetry.WithTracerProvider(chosen)).SourceHooks()
	otel.SetTracerProvider(global) // After New: what was set then must not stick.

	inSpan, span := callers.Tracer("").Start(context.Background(), "request")
	defer span.End()
	remote := trace.ContextWithRemoteSpanContext(context.Background(), span.SpanContext())
	for _, test := range []struct {
		name   string
		hooks  tokensource.Hooks
		ctx    context.Context
		spans  *tracetest.SpanRecorder
		parent trace.SpanID
	}{
		{"chosen", fixed, inSpan, fromChosen, span.SpanContext().SpanID()},
		{"that of the span in the context", found, inSpan, fromCallers, span.SpanContext().SpanID()},
		{"global, as there is no span", found, context.Background(), fromGlobal, trace.SpanID{}},
		{"global, as the span is another process's", found, remote, fromGlobal, span.SpanContext().SpanID()},
	} {
		n := len(test.spans.Ended())
		issueWith(test.ctx, test.hooks, tokensource.ReasonCold)
		ended := test.spans.Ended()
		if len(ended) != n+1 || ended[n].Parent().SpanID() != test.parent {
			t.Errorf("%s: %d spans, want %d, of the parent %s", test.name, len(ended), n+1, test.parent)
		}
	}
}

func TestNew_ScopeHasTheModulesVersion(t *testing.T) {
	provider, spans := recorded()
	reader := sdkmetric.NewManualReader()
	tel := newTelemetry(t, telemetry.WithVersion("v1.2.3"), telemetry.WithTracerProvider(provider),
		telemetry.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	issueWith(t.Context(), tel.SourceHooks(), tokensource.ReasonCold)
	if scope := spans.Ended()[0].InstrumentationScope(); scope.Version != "v1.2.3" {
		t.Errorf("spans are of the scope %+v", scope)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	if scope := all.ScopeMetrics[0].Scope; scope.Version != "v1.2.3" {
		t.Errorf("metrics are of the scope %+v", scope)
	}
	const module = "github.com/pismoauth/pismoauth"
	for _, test := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"nothing is known", nil, ""},
		{"another's program", &debug.BuildInfo{Main: debug.Module{Path: "a.example", Version: "v9"}, Deps: []*debug.Module{{Path: module, Version: "v1.2.3"}}}, "v1.2.3"},
		{"a program of this module", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "v1.2.3"}}, "v1.2.3"},
		{"a checkout", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, ""},
	} {
		if got := telemetry.Version(test.info, test.info != nil); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestSpans_SamplerSeesLinks(t *testing.T) {
	s := &sampler{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(s))
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	ctx, span := provider.Tracer("").Start(context.Background(), "request")
	defer span.End()
	issueWith(ctx, hooks, tokensource.ReasonAhead)
	_, done := hooks.Acquire(ctx, tokensource.AcquireInfo{Account: tokensource.Organization(), Origin: tokensource.OriginJoined, Issuance: 1})
	done(tokensource.AcquireResult{Serial: 1})
	want := []string{"request 0", "pismo.token.issue 1", "pismo.token.acquire 1"}
	if !slices.Equal(s.asked, want) {
		t.Errorf("the sampler saw spans and links %q, want %q", s.asked, want)
	}
}

type sampler struct{ asked []string }

func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.asked = append(s.asked, fmt.Sprint(p.Name, " ", len(p.Links)))
	return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
}

func (*sampler) Description() string { return "" }

func TestSpans_TokenEndpointGetsNoBaggage(t *testing.T) {
	provider, _ := recorded()
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	member, err := baggage.NewMember("account", aliceID)
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []tokensource.IssueReason{tokensource.ReasonCold, tokensource.ReasonAhead} {
		issue := issueWith(baggage.ContextWithBaggage(context.Background(), bag), hooks, reason)
		if baggage.FromContext(issue).Len() != 0 || !trace.SpanContextFromContext(issue).IsValid() {
			t.Errorf("%s: the issuance has the caller's baggage, or no span", reason)
		}
	}
}

func TestSpans_EndInOrder(t *testing.T) {
	enact(t, scenario{play: func(s *stage) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.want(s.read("request"), http.StatusOK)
	}}, func(s *stage) {
		order := s.spans.Ended()[3:]
		var names []string
		for i, span := range order {
			names = append(names, span.Name())
			if i > 0 && span.Parent().SpanID() == order[i-1].Parent().SpanID() && span.StartTime().Before(order[i-1].EndTime()) {
				s.Errorf("%s begins before the %s ahead of it has ended", span.Name(), order[i-1].Name())
			}
		}
		if want := []string{"first request", "HTTP GET", "HTTP POST", "pismo.token.issue", "pismo.token.renew", "HTTP GET", "request"}; !slices.Equal(names, want) {
			s.Errorf("spans end in the order %q, want %q", names, want)
		}
	})
}

func TestMetrics_AccountsMakeNoSeries(t *testing.T) {
	pismo := passporttest.NewUnstarted(t, passporttest.Config{})
	s := newStage(t, pismo, pismo.RoundTripper())
	tel := newTelemetry(t, telemetry.WithMeterProvider(s.meters), telemetry.WithTracerProvider(tracenoop.NewTracerProvider()))
	source, err := tokensource.New(tokensource.Config{Issuer: mint{}, Hooks: tel.SourceHooks()})
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

// A mint issues tokens from nothing.
type mint struct{}

func (mint) Issue(context.Context, tokensource.Account) (tokensource.Grant, error) {
	return tokensource.Grant{Token: tokensource.NewSecret("x")}, nil
}

func TestMetrics_AtMost200Series(t *testing.T) {
	pismo := passporttest.NewUnstarted(t, passporttest.Config{})
	s := newStage(t, pismo, pismo.RoundTripper())
	tel := newTelemetry(t, telemetry.WithMeterProvider(s.meters), telemetry.WithTracerProvider(tracenoop.NewTracerProvider()))
	source, requests := tel.SourceHooks(), tel.TransportHooks()
	org := tokensource.Organization()
	errs := []error{nil, tokensource.NewError("made up by an issuer", nil), context.DeadlineExceeded}
	for _, kind := range kindsOfError(t) {
		errs = append(errs, tokensource.NewError(kind, nil))
	}
	for _, err := range errs {
		for _, reason := range []tokensource.IssueReason{tokensource.ReasonCold, tokensource.ReasonExpired, tokensource.ReasonRejected, tokensource.ReasonAhead, tokensource.ReasonSuspected} {
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
		t.Errorf("%d series", series)
	}
	if strings.Contains(s.renderMetrics(), "made up") {
		t.Error("what a user made up has become a series")
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
		provider, spans := recorded()
		hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
		_, done := hooks.Acquire(context.Background(), tokensource.AcquireInfo{Account: tokensource.Organization(), Origin: tokensource.OriginJoined})
		done(tokensource.AcquireResult{Err: tokensource.NewError(kind, nil)})
		told := render(spans.Ended()[0].Attributes())
		if named := strings.Contains(told, "error.type="+string(kind)); named != (kind != tokensource.ErrCanceled) {
			t.Errorf("%s is told as %s", kind, told)
		}
	}
}

func TestSpans_LinkMemoryIsBounded(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	info := tokensource.IssueInfo{Account: tokensource.Organization(), Reason: tokensource.ReasonCold}
	before := heap()
	for range 50_000 {
		info.Issuance++
		_, done := hooks.Issue(t.Context(), t.Context(), info)
		done(tokensource.IssueResult{Serial: info.Issuance})
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("50,000 issuances take %d bytes", grown)
	}
	runtime.KeepAlive(hooks)
}

func TestSpans_OldIssuanceIsNotLinked(t *testing.T) {
	provider, spans := recorded()
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	issueWith(context.Background(), hooks, tokensource.ReasonCold) // Number 1.
	for _, test := range []struct {
		number uint64
		links  int
	}{{1, 1}, {0, 0}, {2, 0}, {1 + 2048, 0}} {
		_, done := hooks.Acquire(context.Background(), tokensource.AcquireInfo{Account: tokensource.Organization(), Origin: tokensource.OriginJoined, Issuance: test.number})
		done(tokensource.AcquireResult{Serial: 1})
		ended := spans.Ended()
		if links := ended[len(ended)-1].Links(); len(links) != test.links {
			t.Errorf("issuance %d: %d links, want %d", test.number, len(links), test.links)
		}
	}
}

func TestRegister_SourcesAddUp(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	s := newStage(t, pismo, http.DefaultTransport) // It observes a Source of its own.
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
		t.Errorf("%d tokens are cached after one Source is gone, want 1", n)
	}
	if _, err := tel.ObserveSource(nil); err == nil {
		t.Error("a nil Source can be observed")
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestMetrics_DurationIsTheWholeWait(t *testing.T) {
	for _, sc := range scenarios {
		if sc.name == "token endpoint hangs" {
			enact(t, sc, func(s *stage) {
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
	t.Error("the scenario is gone")
}

func TestSpans_BackgroundRenewalIsARoot(t *testing.T) {
	provider, spans := recorded()
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	anothers, other := provider.Tracer("").Start(t.Context(), "span of another hook")
	callers, request := provider.Tracer("").Start(t.Context(), "request")
	defer other.End()
	defer request.End()
	for reason, want := range map[tokensource.IssueReason]trace.SpanID{
		tokensource.ReasonAhead:     {},
		tokensource.ReasonSuspected: {},
		tokensource.ReasonCold:      request.SpanContext().SpanID(),
	} {
		_, done := hooks.Issue(anothers, callers, tokensource.IssueInfo{Account: tokensource.Organization(), Issuance: 1, Reason: reason})
		done(tokensource.IssueResult{Serial: 1})
		ended := spans.Ended()
		if parent := ended[len(ended)-1].Parent().SpanID(); parent != want {
			t.Errorf("%s: the parent is %s, want %s", reason, parent, want)
		}
	}
}
