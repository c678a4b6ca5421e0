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
//   - Do not set Authorization. A request that has one is not sent.
//   - Give a request body a GetBody, if it can be produced twice:
//     [net/http.NewRequest] does for bytes.Buffer, bytes.Reader and
//     strings.Reader. A body without one, of unknown length or over 64 KiB,
//     streams once, and its request is never sent twice.
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
//  4. The body is empty, or not JSON, or JSON with a message and nothing else:
//     it comes from the gateway, and the token was refused: [TokenRefused].
//  5. Anything else is [TokenRefused] for GET, HEAD and OPTIONS, and [Unclear]
//     for all other methods.
//
// Only [TokenRefused] leads to a replay. A body in another encoding than gzip,
// of more than 64 KiB, or of JSON that breaks off, falls under rule 5.
//
// # What is retried
//
// GET, HEAD and OPTIONS, on 429, 502, 503 and 504 and on errors of the
// connection; three attempts in all, after random waits of up to 100 ms, then
// 200 ms and so on up to 2 s, or after what Retry-After says, up to 10 s, and
// never past the deadline of the request's context. If the last attempt fails
// like those before it, the caller gets its response.
//
// Other methods are retried only when the connection could not be made, and so
// nothing was sent, unless a GetBody of the caller's own fetches the body from
// elsewhere: that it failed would look the same. They are retried like GET when
// the caller allows it, with [AllowRetry] or Config.RetryMethods. On this platform
// a 429 or a 503 to a payment can be an answer of its business.
//
// The base may have habits of its own. A [net/http.Transport] that finds a kept
// connection dead sends a request with the field Idempotency-Key or
// X-Idempotency-Key once more, whatever its method, if its body can be had
// again: it takes the field for the caller's permission.
package transport
