// SPDX-License-Identifier: Apache-2.0

// Package telemetry reports what happens to tokens: as spans and metrics of
// OpenTelemetry, with [New], and as log lines, with [NewLogger]. It shows why a
// request was slow, and which token the request waited for.
//
//	tel, err := telemetry.New()
//	source, err := tokensource.New(tokensource.Config{
//		Issuer: &passport.S2S{
//			…
//			Client: &http.Client{Transport: otelhttp.NewTransport(telemetry.AnnotateSpans(transport.NewBase()))},
//		},
//		Hooks: tel.SourceHooks(),
//	})
//	authenticated, err := transport.New(transport.Config{
//		…
//		Base:  otelhttp.NewTransport(telemetry.AnnotateSpans(transport.NewBase())),
//		Hooks: tel.TransportHooks(),
//	})
//	registration, err := tel.ObserveSource(source)
//
// A process of a fleet also sets the Hooks of fleet.Config to tel.FleetHooks(),
// and calls tel.ObserveFleet with the issuer.
//
// A request that finds its token in the cache costs one addition to a counter:
// no allocation and no span, with any provider.
//
// # Spans
//
// All spans are of the kind INTERNAL and have no events. Links are set when a
// span starts, so that a sampler sees them. A failed span has the status Error,
// with error.type and a constant description. The span of a caller who leaves
// has not failed.
//
//	pismo.token.issue    One issuance. Its parent is the span of the caller that
//	                     started it, which may be a pismo.token.renew. An issuance
//	                     that nobody waits for (reason ahead or suspected) begins a
//	                     trace, with a link to the request that triggered it.
//	  pismo.token.issue.reason     cold, expired, refused, ahead, suspected
//	  pismo.token.scope            account, external_account, organization
//	  pismo.token.issue.attempts   number of requests to the token endpoint
//	  pismo.token.serial           number of the new token in its Source
//	  error.type                   kind of the [tokensource.Error]
//	  http.response.status_code    status of the answer of a failed token endpoint
//	  pismo.correlation_id         x-cid of that answer, for Pismo's support
//
//	  pismo.token.issue.adopted    true: another process of the fleet issued the token
//
//	pismo.store.claim, pismo.store.publish, pismo.store.take
//	                     An operation of a fleet's store. Its parent is the issuance.
//	  pismo.store.outcome          found, leased, none; stored, kept, released;
//	                               taken, empty; failed, skipped, canceled
//	  error.type                   timeout or _OTHER
//
//	pismo.token.acquire  A caller who waits for the issuance of another caller, or
//	                     gets the error of a recent failure. It has a link to that
//	                     issuance, which may be in another trace.
//	  pismo.token.acquire.origin   joined, suppressed
//	  pismo.token.scope, pismo.token.serial, error.type
//
//	pismo.token.renew    The renewal of a refused token. If the request is replayed,
//	                     this span is between two HTTP spans: the first ends before
//	                     the renewal begins, and the second, with
//	                     http.request.resend_count 1, begins when it has ended.
//	  pismo.token.rejection.serial   number of the refused token
//	  pismo.token.rejection.outcome  replayed, not_replayable, not_renewed
//	  pismo.token.scope, pismo.token.serial, error.type
//
// # Metrics
//
//	pismo.token.acquisitions      counter. Requests that needed a token, by
//	                              pismo.token.acquire.origin (cached, stale,
//	                              issued, joined, suppressed) and error.type
//	pismo.token.acquire.duration  histogram, s. Time that callers waited for an
//	                              issuance (issued, joined), also after a refused
//	                              token
//	pismo.token.issuances         counter. Ended issuances, by
//	                              pismo.token.issue.reason and error.type, and
//	                              pismo.token.issue.adopted if that is true
//	pismo.token.issue.duration    histogram, s. Duration of issuances, by the same
//	pismo.token.rejections        counter. 401 answers, by
//	                              pismo.token.rejection.verdict (token_refused,
//	                              account_refused, request_refused, unrecognized) and
//	                              pismo.token.rejection.outcome (those of
//	                              pismo.token.renew, passed, refused_again)
//	pismo.token.cached            up-down counter. Usable tokens
//	pismo.token.cooldown          up-down counter. Accounts and Sources in
//	                              cooldown, by pismo.token.cooldown.extent:
//	                              account, source
//	pismo.store.operations        counter. Operations of a fleet's store, by
//	                              pismo.store.operation (key, claim, publish, take)
//	                              and pismo.store.outcome
//	pismo.store.poisoned          counter. Values of the store that were not used
//	pismo.store.open              up-down counter. Stores that failed several times
//	                              in a row, and are not asked for a while
//
// Up-down counters are observed. They are not gauges, because the values of
// several Sources add up; in Prometheus they are gauges. A value that an issuer
// or a Classify function invents is reported as _OTHER. So no series depends on
// input, and there are at most 200 sets of attributes. In Prometheus a
// histogram has several series for each set, one for each bucket.
//
// A request counts as one acquisition, although a middleware, the transport and
// each retry call Token. A call whose context has the token
// ([tokensource.ContextWithForwardedToken]) is a repeated call, and counts only
// if it fails. A caller who leaves does not count; the time of its wait is
// recorded without error.type.
//
// A counter begins at zero for each set of attributes listed here, so that
// Prometheus sees the first increase. It does not see what was counted before
// the first collection. Histograms cannot begin at zero: use the counters for
// alerts.
//
// # HTTP spans
//
// otelhttp, or another library, makes the spans of HTTP requests. The layers
// from the outside in:
//
//	otelhttp.NewHandler        of a proxy or a server
//	middleware                 finds the account
//	http.Client                if there is one
//	transport.Transport        pismo.token.renew, pismo.token.acquire
//	otelhttp.NewTransport      a span for each attempt
//	telemetry.AnnotateSpans    http.request.resend_count, no account in url.full
//	transport.NewBase          or another base
//
// Above the Transport, otelhttp would see neither the replay nor the 401 before
// it. Below otelhttp, the context has the span of exactly this attempt, which
// is why [AnnotateSpans] is there. Issuances are requests of their own; the
// same two layers in passport.S2S.Client make their HTTP spans. Pass otelhttp
// the propagators that you want, with otelhttp.WithPropagators. The global
// propagators mostly send baggage too, which may tell the platform what your
// services know of a customer; propagation.TraceContext does not.
//
// Without otelhttp, use [Telemetry.Propagate] in its place. It sends the trace
// context to the platform and to the token endpoint; see [WithPropagators].
//
// The spans and the metrics of this package never have an account, a tenant, a
// key, a token, a body, or a part of a URL. otelhttp's url.full has the path
// and the query of a request, which name accounts; AnnotateSpans removes them.
// This package cannot change the spans of servers: otelhttp.NewHandler's have
// url.path.
//
// A link has no target if the issuance's trace was not sampled. The caller that
// started the issuance decides that.
//
// # Reading order
//
// telemetry.go makes a [Telemetry]. source.go, transport.go and fleet.go have
// its hooks, links.go the spans that others link to, attributes.go the names
// and the values of attributes, and metrics.go and zero.go the instruments.
// log.go has the [Logger], with logfleet.go, failures.go and refusedtokens.go
// what it remembers. annotate.go and propagate.go have the RoundTrippers.
package telemetry
