// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// Telemetry must not contain these parts of a request and of an answer.
const (
	body         = `{"amount":100}`
	baggageValue = "sentinel-baggage"
	answer       = "sentinel-answer"
)

// A caller sends requests to the platform through all layers except a server's.
type caller struct {
	*testing.T
	*program
	account    tokensource.Account
	outerSpans *sdktrace.TracerProvider // of a layer that is not exported
}

// A fieldCounter is a platform that counts requests with trace context fields.
type fieldCounter struct{ requests, traced, withBaggage atomic.Int64 }

func (w *fieldCounter) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	w.requests.Add(1)
	if r.Header.Get("Traceparent") != "" {
		w.traced.Add(1)
	}
	if r.Header.Get("Baggage") != "" {
		w.withBaggage.Add(1)
	}
}

// send sends a request whose URL names the account, in a trace with baggage. It
// returns the status, or 0 for an error.
func (c caller) send(ctx context.Context, method string, content io.Reader) int {
	member, err := baggage.NewMember("customer", baggageValue)
	if err != nil {
		c.Fatal(err)
	}
	all, err := baggage.New(member)
	if err != nil {
		c.Fatal(err)
	}
	ctx, span := c.traces.Tracer("program").Start(baggage.ContextWithBaggage(ctx, all), "request")
	defer span.End()
	req, err := http.NewRequestWithContext(tokensource.ContextWithAccount(ctx, c.account), method,
		c.fake.URL()+"/v1/accounts/"+account+"/payments?"+query, content)
	if err != nil {
		c.Fatal(err)
	}
	above := otelhttp.NewTransport(c.authenticated, otelhttp.WithTracerProvider(c.outerSpans), otelhttp.WithMeterProvider(c.meters))
	resp, err := above.RoundTrip(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (c caller) read() int { return c.send(c.Context(), http.MethodGet, nil) }
func (c caller) pay() int  { return c.send(c.Context(), http.MethodPost, strings.NewReader(body)) }

// stream sends a payment whose body cannot be replayed.
func (c caller) stream() int {
	return c.send(c.Context(), http.MethodPost, io.LimitReader(strings.NewReader(body), 1000))
}

// refused sends requests that the platform refuses.
func (c caller) refused(ask func() int, want int, refusals ...passporttest.Refusal) {
	c.Helper()
	c.fake.Refuse(refusals...)
	c.want(ask(), want)
}

func (c caller) want(got, want int) {
	c.Helper()
	if got != want {
		c.Errorf("status %d, want %d", got, want)
	}
}

// failing sends requests without a cached token, to a token endpoint that
// fails.
func (c caller) failing(fault passporttest.Fault) {
	c.Helper()
	c.fake.FailAlways(fault)
	c.source.InvalidateAll()
	c.want(c.read(), 0) // The issuance fails.
	c.want(c.read(), 0) // The account is in cooldown.
	c.fake.Heal()
	c.source.InvalidateAll()
}

// leaving cancels a request during an issuance.
func (c caller) leaving() {
	c.fake.FailAlways(passporttest.Hang())
	c.source.InvalidateAll()
	ctx, leave := context.WithTimeout(c.Context(), 100*time.Millisecond)
	defer leave()
	c.want(c.send(ctx, http.MethodGet, nil), 0)
	gone, leave := context.WithCancel(c.Context())
	leave()
	c.want(c.send(gone, http.MethodGet, nil), 0)
	c.fake.Heal()
}

// runAll causes every event that telemetry reports, except the expiry of a
// token.
func (c caller) runAll() {
	var all sync.WaitGroup
	for range stampedeSize { // The first is cold, the others join.
		all.Go(func() { c.want(c.pay(), http.StatusOK) })
	}
	all.Wait()
	c.want(c.read(), http.StatusOK)
	c.fake.RevokeAll()
	c.want(c.pay(), http.StatusOK)
	token := passporttest.Refusal{}
	strange := passporttest.Refusal{ContentType: "application/json", Body: `{"code":"` + answer + `","message":"` + account + `"}`}
	c.refused(c.stream, http.StatusUnauthorized, token)
	c.refused(c.pay, http.StatusUnauthorized, strange)
	c.account = tokensource.Organization()
	for range 3 {
		c.refused(c.read, http.StatusUnauthorized, token, token)
	}
	c.refused(c.read, http.StatusUnauthorized, token) // The renewal budget is spent.
	c.refused(c.pay, http.StatusUnauthorized, passporttest.MustRefusal("EUPI0120"))
	c.refused(c.pay, http.StatusUnauthorized, passporttest.MustRefusal("WCAC0001"))
	c.refused(c.read, http.StatusOK, passporttest.Refusal{Status: http.StatusServiceUnavailable, Body: answer})
	for _, fault := range []passporttest.Fault{
		passporttest.Status(http.StatusInternalServerError),
		passporttest.HTML(http.StatusBadGateway),
		passporttest.RateLimited(time.Minute),
		passporttest.Body(http.StatusUnauthorized, "application/json", `{"message":"`+answer+`"}`),
		passporttest.Body(http.StatusCreated, "application/json", `{"token":"`+answer+` `+account+`"}`),
	} {
		c.failing(fault)
	}
	c.leaving()
	c.base.CloseIdleConnections()
	c.fake.Close()
	c.source.InvalidateAll()
	c.want(c.read(), 0)
}

// The test searches every byte of the exporters. otelhttp is in all its places.
func TestExport_HoldsNoSecret(t *testing.T) {
	sink := newOTLPReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
	platform := new(fieldCounter)
	p, err := newProgram(t.Context(), passporttest.Config{TokenLatency: 50 * time.Millisecond, Resource: platform})
	if err != nil {
		t.Fatal(err)
	}
	secrets := p.secrets(t)
	secrets["the baggage"], secrets["an answer"] = baggageValue, answer
	acct, err := tokensource.ParseAccountID(account)
	if err != nil {
		t.Fatal(err)
	}
	above := tracetest.NewSpanRecorder()
	caller{t, p, acct, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(above))}.runAll()
	if err := p.close(t.Context()); err != nil {
		t.Error(err)
	}
	sink.wantNone(secrets)
	told := map[string]bool{}
	for _, span := range sink.spans {
		for _, a := range span.GetAttributes() {
			told[span.GetName()+" "+a.GetKey()+" "+a.GetValue().GetStringValue()] = true
		}
	}
	for _, want := range []string{
		"pismo.token.issue pismo.token.issue.reason suspected", "pismo.token.acquire pismo.token.acquire.origin suppressed",
		"pismo.token.renew pismo.token.rejection.outcome not_replayable", "pismo.token.renew error.type renewal_limited",
	} {
		if !told[want] {
			t.Errorf("not exported: %s", want)
		}
	}
	kinds := map[string]bool{}
	for _, span := range above.Ended() {
		for _, a := range span.Attributes() {
			if a.Key == "error.type" {
				kinds[a.Value.AsString()] = true
			}
		}
	}
	for _, kind := range []tokensource.ErrorKind{tokensource.ErrUnavailable, tokensource.ErrRateLimited, tokensource.ErrTimeout, tokensource.ErrMalformedResponse, tokensource.ErrCredentialsRejected} {
		if !kinds[string(kind)] {
			t.Errorf("otelhttp does not report the error type %s, but %v", kind, slices.Collect(maps.Keys(kinds)))
		}
	}
	if n := platform.requests.Load(); n == 0 || platform.traced.Load() != n || platform.withBaggage.Load() != 0 {
		t.Errorf("of %d requests, %d had a traceparent and %d had baggage, want all and none", n, platform.traced.Load(), platform.withBaggage.Load())
	}
}
