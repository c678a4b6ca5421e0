// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A fixture is a program with telemetry that uses a fake server.
type fixture struct {
	*testing.T
	pismo   *passporttest.Server
	network http.RoundTripper
	source  *tokensource.Source
	client  *http.Client
	tracer  trace.Tracer // of the program

	account tokensource.Account // that requests act for

	joined  chan struct{} // receives for each caller that joins an issuance
	issuing *blocker
	sending *blocker

	spans  *tracetest.SpanRecorder
	meters *sdkmetric.MeterProvider
	reader *sdkmetric.ManualReader

	observed      metric.Registration
	observedFleet metric.Registration

	// With a store, the program is a process of a fleet.
	store        fleet.Store
	sourceHooks  tokensource.Hooks
	requestHooks transport.Hooks
	fleetHooks   fleet.Hooks
}

// newFixture returns a fixture that sends its requests through network.
func newFixture(t *testing.T, pismo *passporttest.Server, network http.RoundTripper) *fixture {
	s := &fixture{
		T:       t,
		account: alice(t),
		pismo:   pismo,
		network: network,
		joined:  make(chan struct{}, 1000),
		issuing: new(blocker),
		sending: new(blocker),
		spans:   tracetest.NewSpanRecorder(),
		reader:  sdkmetric.NewManualReader(),
	}
	s.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader))
	s.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans)).Tracer("program")
	s.build(tokensource.Hooks{}, transport.Hooks{})
	return s
}

// build makes the program, with additional hooks.
func (s *fixture) build(source tokensource.Hooks, requests transport.Hooks) {
	s.sourceHooks, s.requestHooks = source, requests
	// The Telemetry takes its tracer from the span in the context.
	tel := newTelemetry(s, telemetry.WithMeterProvider(s.meters))
	issuer := s.pismo.Issuer()
	issuer.Client = &http.Client{Transport: httpSpans{s.tracer, telemetry.AnnotateSpans(s.issuing.before(s.network))}}
	var err error
	s.source, err = tokensource.New(tokensource.Config{
		Issuer: s.shared(tel, issuer),
		Hooks:  tokensource.JoinHooks(tokensource.JoinHooks(tel.SourceHooks(), source), s.joinHooks()),
	})
	if err != nil {
		s.Fatal(err)
	}
	if s.observed != nil {
		_ = s.observed.Unregister()
	}
	if s.observed, err = tel.ObserveSource(s.source); err != nil {
		s.Fatal(err)
	}
	authenticated, err := transport.New(transport.Config{
		Source: s.source,
		Hosts:  []string{s.pismo.Host()},
		Base:   httpSpans{s.tracer, telemetry.AnnotateSpans(s.sending.before(s.network))},
		Hooks:  transport.JoinHooks(tel.TransportHooks(), requests),
	})
	if err != nil {
		s.Fatal(err)
	}
	s.client = &http.Client{Transport: authenticated}
}

// shared returns the issuer, or with a store the issuer of a fleet.
func (s *fixture) shared(tel *telemetry.Telemetry, issuer *passport.S2S) tokensource.Issuer {
	if s.store == nil {
		return issuer
	}
	shared, err := fleet.New(fleet.Config{
		Issuer: issuer,
		Store:  s.store,
		Key:    issuer.Credentials.Secret,
		Hooks:  fleet.JoinHooks(tel.FleetHooks(), s.fleetHooks),
	})
	if err != nil {
		s.Fatal(err)
	}
	if s.observedFleet, err = tel.ObserveFleet(shared); err != nil {
		s.Fatal(err)
	}
	return shared
}

// joinFleet makes the program a process of a fleet with this store.
func (s *fixture) joinFleet(store fleet.Store) {
	s.store = store
	s.build(s.sourceHooks, s.requestHooks)
}

// issueElsewhere issues a token in another process of the fleet, which has no
// telemetry.
func (s *fixture) issueElsewhere(store fleet.Store) {
	issuer := s.pismo.Issuer()
	shared, err := fleet.New(fleet.Config{Issuer: issuer, Store: store, Key: issuer.Credentials.Secret})
	if err != nil {
		s.Fatal(err)
	}
	if _, err := shared.Issue(s.Context(), s.account); err != nil {
		s.Fatal(err)
	}
}

// joinHooks returns hooks that signal when a caller joins an issuance.
func (s *fixture) joinHooks() tokensource.Hooks {
	return tokensource.Hooks{
		Acquire: func(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
			if info.Origin == tokensource.OriginJoined {
				s.joined <- struct{}{}
			}
			return ctx, nil
		},
		Renew: func(ctx context.Context, info tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
			if info.Outcome == tokensource.RenewJoined {
				s.joined <- struct{}{}
			}
			return ctx, nil
		},
	}
}

// read reads alice's account, in a server span of the given name. It returns
// the status, or 0 for an error.
func (s *fixture) read(name string) int {
	return s.send(s.Context(), name, http.MethodGet, "/v1/accounts/"+aliceID+"?"+sentinelQuery, nil)
}

// pay sends a payment whose body cannot be replayed.
func (s *fixture) pay(name string) int {
	return s.send(s.Context(), name, http.MethodPost, "/v1/payments", io.LimitReader(strings.NewReader(sentinelBody), 1000))
}

func (s *fixture) send(ctx context.Context, name, method, path string, body io.Reader) int {
	ctx, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	ctx = tokensource.ContextWithAccount(ctx, s.account)
	req, err := http.NewRequestWithContext(ctx, method, s.pismo.URL()+path, body)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// start runs do on another goroutine. The returned function waits for the
// result.
func (s *fixture) start(do func() int) (wait func() int) {
	result := make(chan int, 1)
	go func() { result <- do() }()
	return func() int { return <-result }
}

// want checks a status.
func (s *fixture) want(got, want int) {
	s.Helper()
	if got != want {
		s.Errorf("status %d, want %d", got, want)
	}
}

// A blocker blocks a request that goes through it.
type blocker struct {
	mu   sync.Mutex
	held *heldRequest
}

type heldRequest struct{ arrived, release chan struct{} }

// block blocks the next request. The first returned function waits until that
// request has arrived. The second releases it.
func (p *blocker) block() (arrived, release func()) {
	h := &heldRequest{make(chan struct{}), make(chan struct{})}
	p.mu.Lock()
	p.held = h
	p.mu.Unlock()
	return func() { <-h.arrived }, func() { close(h.release) }
}

func (p *blocker) wait() {
	p.mu.Lock()
	h := p.held
	p.held = nil
	p.mu.Unlock()
	if h != nil {
		close(h.arrived)
		<-h.release
	}
}

func (p *blocker) before(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		p.wait()
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// httpSpans makes spans like otelhttp, which this module does not require. A
// span ends at the end of the body.
type httpSpans struct {
	tracer trace.Tracer
	base   http.RoundTripper
}

func (h httpSpans) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := h.tracer.Start(req.Context(), "HTTP "+req.Method, trace.WithSpanKind(trace.SpanKindClient))
	span.SetAttributes(attribute.String("url.full", req.URL.String()))
	resp, err := h.base.RoundTrip(req.Clone(ctx))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.End()
		return resp, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode >= 400 {
		span.SetStatus(codes.Error, "")
	}
	resp.Body = &spanBody{resp.Body, span}
	return resp, nil
}

type spanBody struct {
	io.ReadCloser
	span trace.Span
}

func (s *spanBody) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err == io.EOF {
		s.span.End()
	}
	return n, err
}

func (s *spanBody) Close() error {
	s.span.End()
	return s.ReadCloser.Close()
}
