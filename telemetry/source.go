// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"time"
	"unicode/utf8"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pismoauth/pismoauth/tokensource"
)

// SourceHooks returns hooks for one [tokensource.Source]. Call it once for each
// Source: the hooks remember the last 2,048 issuances of that Source, with a
// few hundred bytes each. The hooks of a nil or zero Telemetry do nothing.
func (t *Telemetry) SourceHooks() tokensource.Hooks {
	if t.isZero() {
		return tokensource.Hooks{}
	}
	s := &source{Telemetry: t, issuances: new(issuanceSpans)}
	return tokensource.Hooks{Acquire: s.acquire, Issue: s.issue, Renew: s.renew}
}

// A source is the telemetry of one Source.
type source struct {
	*Telemetry
	issuances *issuanceSpans
}

// acquire is called for each call of Token. For a cached token it only adds to
// a counter, because every request takes this path.
//
// A request counts once, although a middleware, a transport and each retry call
// Token. A repeated call counts only if it fails: the metric must show the
// failure of a request that was counted as a success before.
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

// renew is called for each call of Renew. It records the wait only. The
// transport makes the span of the renewal, since it knows the outcome of the
// request.
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
		return ctx, nil // RenewSuperseded: nobody waits.
	}
	ctx, done := s.wait(ctx, info.Account, from, info.Issuance)
	return ctx, func(result tokensource.RenewResult) { done(result.Serial, result.Err) }
}

// wait reports a caller who does not get a token at once. The caller that
// started the issuance is the parent of its span. Every other caller, one in
// cooldown included, gets a span with a link to the issuance.
func (s *source) wait(ctx context.Context, account tokensource.Account, from tokensource.TokenOrigin, issuance uint64) (context.Context, func(uint64, error)) {
	began := time.Now()
	if from == tokensource.OriginIssued {
		return ctx, func(_ uint64, err error) { s.instruments.waited(ctx, from, began, err) }
	}
	ctx, span := s.tracer(ctx).Start(ctx, spanAcquire,
		trace.WithAttributes(origin(from), scope(account)),
		trace.WithLinks(s.issuances.link(issuance)...))
	return ctx, func(serial uint64, err error) {
		if from != tokensource.OriginSuppressed { // A suppressed caller does not wait.
			s.instruments.waited(ctx, from, began, err)
		}
		endSpan(span, serial, err)
	}
}

// issue is called when an issuance begins. The span of the issuance is a child
// of the caller's span if the caller waits for it. Otherwise it begins a new
// trace, because the caller's request may end long before. The issuance gets
// only the span of the caller's context: the token endpoint must not get its
// baggage.
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
	s.issuances.add(info.Issuance, span.SpanContext())
	return issue, func(result tokensource.IssueResult) {
		s.instruments.issued(issue, info.Reason, began, result)
		span.SetAttributes(keyAttempts.Int(result.Attempts))
		if result.Adopted {
			span.SetAttributes(keyAdopted.Bool(true))
		}
		setAnswer(span, result.Err)
		endSpan(span, result.Serial, result.Err)
	}
}

// setAnswer sets the attributes of the answer of a token endpoint that failed.
func setAnswer(span trace.Span, err error) {
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

// maxCorrelationID is the maximum length in bytes of a correlation id in a
// span. The id comes from an endpoint. An exporter drops a whole batch for a
// string that is not UTF-8.
const maxCorrelationID = 128

// endSpan ends a span with its token, or with its error.
func endSpan(span trace.Span, token uint64, err error) {
	if token != 0 {
		span.SetAttributes(serial(keySerial, token))
	}
	setError(span, err)
	span.End()
}

// orBackground returns ctx, or context.Background for a nil ctx, with which a
// tracer would panic.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
