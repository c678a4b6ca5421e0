// Package transport makes any [net/http.Client] an authenticated client of the
// Pismo platform.
//
// A [Transport] is a [net/http.RoundTripper]. From the caller inwards it has
// three layers:
//
//   - retry: requests that do no harm when they are executed twice are tried
//     again when the platform or the network fails for a moment. Driven by
//     hashicorp/go-retryablehttp, with none of its defaults.
//   - authorize: each attempt gets the token of its moment. A 401 gets a
//     [Verdict]; if it is the token that was refused, it is renewed, and the
//     request is replayed once.
//   - base: what really sends requests, Config.Base.
//
// # Rules of correct use
//
//   - Use one Transport for all requests to the platform. It keeps the
//     connections and, with its Source, the tokens.
//   - Say for which account a request is: with Config.Account, or in its
//     context with tokensource.ContextWithAccount. There is no default.
//   - Do not set Authorization. A request that has credentials of its own is
//     not sent.
//   - Give a request body a GetBody, if it can be produced twice:
//     [net/http.NewRequest] does for bytes.Buffer, bytes.Reader and
//     strings.Reader. A body without one is recorded while it is sent, if its
//     length is known and at most 64 KiB, and the request has no trailer. Every
//     other body streams once, and its request is never sent twice.
//   - Do not put a client that retries everything around it. What must not be
//     delivered twice is known here, and not there.
//   - Do not give the Source's issuer a client that goes through this
//     Transport.
//   - A 401 that the caller gets is an answer of the platform. Asking again
//     will not change it.
//
// # What happens to a 401
//
// The first rule that applies decides:
//
//  1. The body has an error code that Pismo documents: what that code says.
//  2. The token has expired by our clock: [TokenRefused].
//  3. WWW-Authenticate has a Bearer challenge with an error (RFC 6750, section
//     3.1): invalid_token is [TokenRefused], insufficient_scope is
//     [AccountRefused].
//  4. The body is empty, a text that is not JSON, or JSON with a message and
//     nothing else: it comes from the gateway, and the token was refused:
//     [TokenRefused].
//  5. Anything else that could be read is [TokenRefused] for GET, HEAD and
//     OPTIONS. For all other methods, and if the body could not be read, it is
//     [Unrecognized].
//
// Only [TokenRefused] leads to a replay. [Unrecognized] leads to a renewal in the
// background, so that an early revocation heals by the next request.
//
// Text is UTF-8 without control characters and without signs of structure: XML is
// none, and HTML only if it is the page with which a web server says 401. JSON in
// base64 or in percent encoding is not text either. A message is read as text is:
// one that quotes another answer, or a code of the business, comes from there. A
// JSON object that has a timestamp or a path beside its message, but no code, is an
// application's, and falls under rule 5: that application may have refused the
// request. A body could not be read if it breaks off, is longer than 64 KiB, does
// not arrive within a second, or has another encoding than gzip or deflate. Nor
// can the body of an answer to HEAD, which has none.
//
// # What is retried
//
// GET, HEAD and OPTIONS, on 429, 502, 503 and 504 and on errors of the
// connection; three attempts in all, after random waits of up to 100 ms, then
// 200 ms and so on up to 2 s, or after what Retry-After says, up to 10 s, and
// never past the deadline of the request's context. If the last attempt fails
// like those before it, the caller gets its response.
//
// Other methods are retried like GET when the caller allows it, with [AllowRetry]
// or Config.RetryMethods. On this platform a 429 or a 503 to a payment can be an
// answer of its business. Otherwise they are sent again only if they were
// provably not executed:
//
//   - The base asked for a connection and never got one. It shows that by the
//     hooks of [net/http/httptrace], as net/http and golang.org/x/net/http2 do.
//     If a base does not call them, only an error of dialing counts.
//   - The server said that it did not process the request, by GOAWAY or
//     REFUSED_STREAM (RFC 9113, section 8.7).
//
// A [net/http.Transport] has habits of its own. When a kept connection breaks, it
// sends a request with the field Idempotency-Key or X-Idempotency-Key once more,
// whatever its method: it takes the field for the caller's permission. That is
// prevented unless the request may be executed twice. One habit remains: over
// HTTP/2, net/http sends a request without a body again if the server resets its
// stream with PROTOCOL_ERROR.
//
// # Reading order
//
// transport.go has the way of a request, exchange.go what happens to it on that
// way. The detours: header.go and body.go for what goes out, recording.go for
// bodies that come once; connection.go and failure.go for what an error proves,
// retry.go for when to try again; unauthorized.go for a 401, verdict.go,
// errorbody.go and challenge.go for what it means, verdictof.go for how a proxy
// learns of that.
package transport
