package telemetry

import (
	"context"
	"time"
	"unicode/utf8"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/tokensource"
)

// SourceHooks returns hooks for one [tokensource.Source]. Call it once for each: the
// hooks remember the last 2,048 issuances of that Source, in a few hundred
// bytes each. The hooks of a nil or zero Telemetry do nothing.
func (t *Telemetry) SourceHooks() tokensource.Hooks {
	if t.isZero() {
		return tokensource.Hooks{}
	}
	s := &source{Telemetry: t, issuances: new(recent)}
	return tokensource.Hooks{Acquire: s.acquire, Issue: s.issue, Renew: s.renew}
}

// A source is the telemetry of one Source.
type source struct {
	*Telemetry
	issuances *recent
}

// acquire is called for each call of Token. A token that was there is counted,
// and nothing else: this is the path of every request.
//
// A request is counted once, although a middleware, a transport and each retry
// ask for its token. What asks again is counted only if it gets none: the
// failure must be seen, and the request has been counted as a success before.
func (s *source) acquire(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
	ctx = orBackground(ctx)
	switch info.Origin {
	case tokensource.OriginCached:
		if !info.Repeated {
			s.instruments.acquisitions.Add(ctx, 1, s.instruments.fromCache...)
		}
		return ctx, nil
	case tokensource.OriginStale:
		if !info.Repeated {
			s.instruments.acquisitions.Add(ctx, 1, s.instruments.fromStale...)
		}
		return ctx, nil
	}
	ctx, done := s.wait(ctx, info.Account, info.Origin, info.Issuance)
	return ctx, func(result tokensource.AcquireResult) {
		if !info.Repeated || result.Err != nil {
			s.instruments.acquired(ctx, info.Origin, result.Err)
		}
		done(result.Serial, result.Err)
	}
}

// renew is called for each call of Renew. The span of the renewal is the
// transport's to make, which knows what becomes of the request; here it is
// about the wait.
func (s *source) renew(ctx context.Context, info tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
	ctx = orBackground(ctx)
	var from tokensource.TokenOrigin
	switch info.Outcome {
	case tokensource.RenewIssued:
		from = tokensource.OriginIssued
	case tokensource.RenewJoined:
		from = tokensource.OriginJoined
	case tokensource.RenewSuppressed:
		from = tokensource.OriginSuppressed
	default:
		return ctx, nil // Superseded: the new token was there.
	}
	ctx, done := s.wait(ctx, info.Account, from, info.Issuance)
	return ctx, func(result tokensource.RenewResult) { done(result.Serial, result.Err) }
}

// wait reports a caller who does not get a token at once. Whoever started the
// issuance has its span as a child, and needs no other. Whoever waits for the
// issuance of another, or gets the failure of another, has a span that links to
// it.
func (s *source) wait(ctx context.Context, account tokensource.Account, from tokensource.TokenOrigin, issuance uint64) (context.Context, func(uint64, error)) {
	began := time.Now()
	if from == tokensource.OriginIssued {
		return ctx, func(_ uint64, err error) { s.instruments.waited(ctx, from, began, err) }
	}
	ctx, span := s.tracer(ctx).Start(ctx, spanAcquire,
		trace.WithAttributes(origin(from), scope(account)),
		trace.WithLinks(s.issuances.link(issuance)...))
	return ctx, func(serial uint64, err error) {
		if from != tokensource.OriginSuppressed { // Nobody waited.
			s.instruments.waited(ctx, from, began, err)
		}
		end(span, serial, err)
	}
}

// issue is called when an issuance begins. It is beneath the span of a caller
// who waits for it; where nobody does, it is a trace of its own, because the
// request that triggered it may be over long before. Its context gets nothing
// of the caller's but the span: a baggage is not for the token endpoint.
func (s *source) issue(issue, caller context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	issue, caller = orBackground(issue), orBackground(caller)
	began := time.Now()
	options := []trace.SpanStartOption{trace.WithAttributes(reason(info.Reason), scope(info.Account))}
	switch info.Reason {
	case tokensource.ReasonAhead, tokensource.ReasonSuspected:
		options = append(options, trace.WithNewRoot(), trace.WithLinks(linkTo(trace.SpanContextFromContext(caller))...))
	default:
		issue = trace.ContextWithSpan(issue, trace.SpanFromContext(caller))
	}
	issue, span := s.tracer(caller).Start(issue, spanIssue, options...)
	s.issuances.put(info.Issuance, span.SpanContext())
	return issue, func(result tokensource.IssueResult) {
		s.instruments.issued(issue, info.Reason, began, result.Err)
		span.SetAttributes(keyAttempts.Int(result.Attempts))
		describe(span, result.Err)
		end(span, result.Serial, result.Err)
	}
}

// describe says what the token endpoint answered, if it has failed.
func describe(span trace.Span, err error) {
	e := sourceError(err)
	if e == nil {
		return
	}
	if e.StatusCode != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(e.StatusCode))
	}
	if id := e.CorrelationID; id != "" && len(id) <= maxCorrelationID && utf8.ValidString(id) {
		span.SetAttributes(keyCorrelationID.String(id))
	}
}

// maxCorrelationID is the length in bytes of the longest correlation id that a
// span shows. It is what an endpoint answered, and a string that is not UTF-8
// would cost an exporter its whole batch.
const maxCorrelationID = 128

// end ends a span that was to lead to a token.
func end(span trace.Span, token uint64, err error) {
	if token != 0 {
		span.SetAttributes(serial(keySerial, token))
	}
	fail(span, err)
	span.End()
}

// orBackground returns ctx, or the background for a nil one, which would make a
// tracer panic.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
