package telemetry

import (
	"context"
	"errors"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/tokensource"
)

// Source returns hooks for one [tokensource.Source]. Call it once for each: they
// remember issuances by their numbers, which are those of the Source. What they
// remember is bounded, the last 2,048, and a few hundred bytes each.
func (t *Telemetry) Source() tokensource.Hooks {
	s := &source{Telemetry: t, issuances: new(recent)}
	return tokensource.Hooks{Acquire: s.acquire, Issue: s.issue, Renew: s.renew}
}

// A source is the telemetry of one Source.
type source struct {
	*Telemetry
	issuances *recent
}

// acquire is called for each call of Token. What is there already is counted, and
// nothing else: this is the path of every request.
func (s *source) acquire(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
	switch info.Origin {
	case tokensource.OriginCached:
		s.instruments.acquisitions.Add(ctx, 1, s.instruments.fromCache...)
		return ctx, nil
	case tokensource.OriginStale:
		s.instruments.acquisitions.Add(ctx, 1, s.instruments.fromStale...)
		return ctx, nil
	}
	ctx, done := s.wait(ctx, info.Account, info.Origin, info.Issuance)
	return ctx, func(result tokensource.AcquireResult) {
		s.instruments.acquired(ctx, info.Origin, result.Err)
		done(result.Serial, result.Err)
	}
}

// renew is called for each call of Renew. The span of the renewal is the
// transport's to make, which knows what becomes of the request; here it is about
// the wait.
func (s *source) renew(ctx context.Context, info tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
	var origin tokensource.Origin
	switch info.Outcome {
	case tokensource.RenewIssued:
		origin = tokensource.OriginIssued
	case tokensource.RenewJoined:
		origin = tokensource.OriginJoined
	case tokensource.RenewSuppressed:
		origin = tokensource.OriginSuppressed
	default:
		return ctx, nil // Superseded: the new token was there.
	}
	ctx, done := s.wait(ctx, info.Account, origin, info.Issuance)
	return ctx, func(result tokensource.RenewResult) { done(result.Serial, result.Err) }
}

// wait tells of a caller who does not get a token at once. Who started the
// issuance has its span beneath its own, and needs no other; for who waits for
// another's, or is told of another's failure, a span links to that one.
func (s *source) wait(ctx context.Context, account tokensource.Account, origin tokensource.Origin, issuance uint64) (context.Context, func(uint64, error)) {
	began := time.Now()
	switch origin {
	case tokensource.OriginIssued:
		return ctx, func(_ uint64, err error) { s.instruments.waited(ctx, origin, began, err) }
	case tokensource.OriginSuppressed:
		ctx, span := s.startAcquire(ctx, account, origin, issuance)
		return ctx, func(_ uint64, err error) { end(span, 0, err) }
	}
	ctx, span := s.startAcquire(ctx, account, origin, issuance)
	return ctx, func(serial uint64, err error) {
		s.instruments.waited(ctx, origin, began, err)
		end(span, serial, err)
	}
}

func (s *source) startAcquire(ctx context.Context, account tokensource.Account, origin tokensource.Origin, issuance uint64) (context.Context, trace.Span) {
	return s.tracer(ctx).Start(ctx, spanAcquire,
		trace.WithAttributes(keyOrigin.String(string(origin)), scope(account)),
		trace.WithLinks(s.issuances.link(issuance)...))
}

// issue is called when an issuance begins. It is beneath the span of a caller who
// waits for it; where nobody does, it is a trace of its own, because the request
// that triggered it may be over long before. Its context gets nothing of the
// caller's but the span: a baggage is not for the token endpoint.
func (s *source) issue(issue, caller context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	began := time.Now()
	options := []trace.SpanStartOption{trace.WithAttributes(keyReason.String(string(info.Reason)), scope(info.Account))}
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

// describe says what the token endpoint has answered, if it has failed.
func describe(span trace.Span, err error) {
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok {
		return
	}
	if e.StatusCode != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(e.StatusCode))
	}
	if e.CorrelationID != "" {
		span.SetAttributes(keyCorrelationID.String(e.CorrelationID))
	}
}

// end ends a span that was to lead to a token.
func end(span trace.Span, token uint64, err error) {
	if token != 0 {
		span.SetAttributes(serial(keySerial, token))
	}
	fail(span, err)
	span.End()
}
