// Package telemetry tells what happens to tokens: as spans and metrics of
// OpenTelemetry, with [New], and as lines of a log, with [NewLogger]. It answers
// why a request was slow, and whose token it waited for.
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
// A request that finds its token costs one addition to a counter: no allocation
// and no span, whatever the providers.
//
// # Spans
//
// All are of the kind INTERNAL. Links are given when a span is made, so that a
// sampler sees them. A failure has the status Error, with error.type and a
// constant description; a caller who leaves has not failed. There are no
// events.
//
//	pismo.token.issue    One issuance. Beneath the span of the caller who started
//	                     it, which may be a pismo.token.renew. One that nobody
//	                     waits for (reason ahead or suspected) is a trace of its
//	                     own, with a link to the request that triggered it.
//	  pismo.token.issue.reason     cold, expired, rejected, ahead, suspected
//	  pismo.token.scope            account, external_account, organization
//	  pismo.token.issue.attempts   how often the token endpoint was asked
//	  pismo.token.serial           the new token's number in its Source
//	  error.type                   the kind of the [tokensource.Error]
//	  http.response.status_code    what a token endpoint that fails has answered
//	  pismo.correlation_id         its x-cid, for a ticket with Pismo's support
//
//	pismo.token.acquire  A caller who waits for the issuance that another caller
//	                     started, or is told of a failure a moment ago. It links
//	                     to that issuance, in another trace if need be.
//	  pismo.token.acquire.origin   joined, suppressed
//	  pismo.token.scope, pismo.token.serial, error.type
//
//	pismo.token.renew    What a refused token leads to. It lies between two HTTP
//	                     spans: the first ends before it begins, the second, with
//	                     http.request.resend_count 1, begins when it has ended.
//	  pismo.token.rejection.serial   the refused token's number
//	  pismo.token.rejection.outcome  replayed, not_replayable, not_renewed
//	  pismo.token.scope, pismo.token.serial, error.type
//
// # Metrics
//
//	pismo.token.acquisitions      counter. Requests that needed a token, by
//	                              pismo.token.acquire.origin (cached, stale,
//	                              issued, joined, suppressed) and error.type
//	pismo.token.acquire.duration  histogram, s. How long callers waited for an
//	                              issuance (issued, joined), those with a refused
//	                              token included
//	pismo.token.issuances         counter. Issuances that have ended, by
//	                              pismo.token.issue.reason and error.type
//	pismo.token.issue.duration    histogram, s. How long they took, by the same
//	pismo.token.rejections        counter. 401 answers, by
//	                              pismo.token.rejection.verdict (token_refused,
//	                              account_refused, request_refused, unrecognized) and
//	                              pismo.token.rejection.outcome (those above,
//	                              passed, refused_again)
//	pismo.token.cached            up-down counter. Tokens that can be handed out
//	pismo.token.cooldown           up-down counter. What issuances are left alone
//	                              for, because they failed a moment ago, by
//	                              pismo.token.cooldown.extent: account, source
//
// The last two are observed; they are up-down counters and not gauges because
// those of several Sources add up. In Prometheus that is a gauge. A value that
// an issuer or a Classify function makes up is _OTHER: no series depends on what comes
// from outside, and there can be no more than 200 of them.
//
// A request counts as one acquisition, although a middleware, the transport and
// each retry ask for its token: whoever asks with the token in the context
// ([tokensource.ContextWithToken]) asks again. Such a call counts only if it
// fails. A caller who leaves is not counted.
//
// Counters begin at zero, with each set of attributes that is listed here: all
// that is counted after the first collection shows in Prometheus's rate and
// increase, which do not see how a series begins. Histograms cannot begin so;
// take the counters for alerts.
//
// # HTTP spans
//
// The spans of HTTP requests are otelhttp's, or another's. From the outside in:
//
//	otelhttp.NewHandler        of a proxy or a server
//	middleware                 finds the account
//	http.Client                if there is one
//	transport.Transport        pismo.token.renew, pismo.token.acquire
//	otelhttp.NewTransport      a span for each time that the request goes out
//	telemetry.AnnotateSpans          http.request.resend_count, and no account in url.full
//	transport.NewBase          or your own
//
// Above the Transport, otelhttp would see neither the replay nor which of two
// answers was a 401. Beneath otelhttp, the span in the context is that of this
// very sending; that is why [AnnotateSpans] sits there. Issuances are calls of their
// own, and have their HTTP spans by the same two layers in passport.S2S.Client.
// Hand otelhttp the propagators you want, with otelhttp.WithPropagators: those
// that are global mostly send baggage too, and so the platform what your
// services tell each other of a customer; propagation.TraceContext alone does
// not.
//
// Without otelhttp, [Telemetry.Propagate] in its place has the platform and the
// token endpoint see which span a request is part of, by [WithPropagators].
//
// Spans and metrics of this package never hold an account, a tenant, a key, a
// token, a body, or any part of a URL. otelhttp's url.full has the path and the
// query of a request, which name accounts; AnnotateSpans takes them out. The spans of
// servers are not ours to mend: otelhttp.NewHandler's has url.path.
//
// A link leads nowhere if the issuance's trace was not sampled: it is up to the
// caller who started it.
package telemetry
