// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
)

func TestSpans_SamplerSeesLinks(t *testing.T) {
	s := &sampler{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(s))
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	ctx, span := provider.Tracer("").Start(context.Background(), "request")
	defer span.End()
	issueToken(ctx, hooks, tokensource.ReasonAhead)
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
	provider, _ := newRecorder()
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
		issue := issueToken(baggage.ContextWithBaggage(context.Background(), bag), hooks, reason)
		if baggage.FromContext(issue).Len() != 0 || !trace.SpanContextFromContext(issue).IsValid() {
			t.Errorf("%s: the issuance has the caller's baggage, or no span", reason)
		}
	}
}

func TestSpans_EndInOrder(t *testing.T) {
	runScenario(t, scenario{run: func(s *fixture) {
		s.want(s.read("first request"), http.StatusOK)
		s.pismo.RevokeAll()
		s.want(s.read("request"), http.StatusOK)
	}}, func(s *fixture) {
		order := s.spans.Ended()[3:]
		var names []string
		for i, span := range order {
			names = append(names, span.Name())
			if i > 0 && span.Parent().SpanID() == order[i-1].Parent().SpanID() && span.StartTime().Before(order[i-1].EndTime()) {
				s.Errorf("%s begins before the previous span, %s, ends", span.Name(), order[i-1].Name())
			}
		}
		if want := []string{"first request", "HTTP GET", "HTTP POST", "pismo.token.issue", "pismo.token.renew", "HTTP GET", "request"}; !slices.Equal(names, want) {
			s.Errorf("spans end in the order %q, want %q", names, want)
		}
	})
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
		t.Errorf("50,000 issuances need %d bytes", grown)
	}
	runtime.KeepAlive(hooks)
}

func TestSpans_OldIssuanceIsNotLinked(t *testing.T) {
	provider, spans := newRecorder()
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	issueToken(context.Background(), hooks, tokensource.ReasonCold) // Number 1.
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

func TestSpans_BackgroundRenewalIsARoot(t *testing.T) {
	provider, spans := newRecorder()
	hooks := newTelemetry(t, telemetry.WithTracerProvider(provider)).SourceHooks()
	foreign, other := provider.Tracer("").Start(t.Context(), "span of another hook")
	callers, request := provider.Tracer("").Start(t.Context(), "request")
	defer other.End()
	defer request.End()
	for reason, want := range map[tokensource.IssueReason]trace.SpanID{
		tokensource.ReasonAhead:     {},
		tokensource.ReasonSuspected: {},
		tokensource.ReasonCold:      request.SpanContext().SpanID(),
	} {
		_, done := hooks.Issue(foreign, callers, tokensource.IssueInfo{Account: tokensource.Organization(), Issuance: 1, Reason: reason})
		done(tokensource.IssueResult{Serial: 1})
		ended := spans.Ended()
		if parent := ended[len(ended)-1].Parent().SpanID(); parent != want {
			t.Errorf("%s: the parent is %s, want %s", reason, parent, want)
		}
	}
}
