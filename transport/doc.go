// SPDX-License-Identifier: Apache-2.0

// Package transport makes any [net/http.Client] an authenticated client of the
// Pismo platform.
//
// A [Transport] is a [net/http.RoundTripper]. From the caller inwards it has
// three layers:
//
//   - retry: sends a request again when the platform or the network fails
//     temporarily, if the request does no harm when it is executed twice.
//     hashicorp/go-retryablehttp runs the loop; the rules and the waits are
//     those of this package.
//   - authorize: gives each attempt the current token. A 401 gets a [Verdict].
//     If the platform refused the token, this layer renews the token and
//     replays the request once.
//   - base: sends the requests. It is Config.Base.
//
// # Rules of correct use
//
//   - Use one Transport for all requests to the platform. It keeps the
//     connections and, with its Source, the tokens.
//   - Name the account of each request, either with Config.Account or in the
//     request's context with tokensource.ContextWithAccount. There is no
//     default.
//   - Do not set Authorization. The Transport refuses a request that has
//     credentials. The exception is the Source's own token, which
//     middleware.Wrap sets.
//   - Give a request body a GetBody if it can be produced twice.
//     [net/http.NewRequest] does so for bytes.Buffer, bytes.Reader and
//     strings.Reader. A body without GetBody is recorded while it is sent, if
//     its length is known and at most 64 KiB (Config.MaxReplayBody), and the
//     request has no trailer. Every other body streams once, and its request is
//     never sent twice.
//   - Do not wrap the Transport in a client that retries every request. Only
//     the Transport knows which request must not be delivered twice.
//   - Do not give the Source's issuer a client that uses this Transport.
//   - Do not repeat a request whose 401 you get before you know what the 401
//     means. [VerdictOf] says it.
//
// # What happens to a 401
//
// The first rule that applies decides:
//
//  1. The body has an error code that Pismo documents. The code decides between
//     [TokenRefused], [AccountRefused] and [RequestRefused].
//  2. The token has expired by the local clock: [TokenRefused].
//  3. WWW-Authenticate has a Bearer challenge with an error (RFC 6750, section
//     3.1): invalid_token is [TokenRefused], insufficient_scope is
//     [AccountRefused].
//  4. The body is empty, a text that is not JSON (see below), or JSON with a
//     message and nothing else. Such a response comes from the gateway, which
//     refused the token: [TokenRefused].
//  5. Any other body that could be read is [TokenRefused] for GET and OPTIONS.
//     For all other methods, and if the body could not be read, the verdict is
//     [Unrecognized].
//
// After [TokenRefused], the Transport renews the token. If the request has no
// body, or its body can be sent again, it waits for the new token and replays
// the request once. Otherwise, or if the renewal fails, the caller gets the
// 401. [AccountRefused] and [RequestRefused] renew nothing: the caller gets the
// 401. A second 401, after the replay, gets a verdict of its own and goes to
// the caller. It renews nothing. [Unrecognized] leads to a renewal in the
// background, so that after an early revocation the next request succeeds. A
// 401 that could not be read starts such a renewal only once in the life of a
// token. Config.Classify can replace the verdict.
//
// Text is UTF-8 without control characters and without the characters { } [ ] <
// >. XML is not text. HTML is text only if it is the 401 page of a web server.
// JSON in base64 or in percent encoding is not text either. The same holds for
// a message: a message with one of these characters comes from an application.
// A code of [AccountRefused] or [RequestRefused] in a text or a message counts
// under rule 1; a code of [TokenRefused] does not. A JSON object with a
// timestamp or a path beside its message, but no code, comes from an
// application, which may have refused the request. It falls under rule 5. A
// body could not be read if it is truncated, is longer than 64 KiB, is not
// UTF-8, has control characters, does not arrive within a second, or has an
// encoding other than gzip or deflate. A response to HEAD has no body, so its
// body could not be read either. So that bodies can be read, the Transport
// removes all encodings but gzip, deflate and identity from a request's
// Accept-Encoding.
//
// # What is retried
//
// GET, HEAD and OPTIONS are retried on 429, 502, 503 and 504, and on errors of
// the connection, with three attempts in all. The waits between attempts are
// random: up to 100 ms, then up to 200 ms. With more attempts
// (Config.MaxAttempts) the bound doubles up to 2 s. A Retry-After of up to 10 s
// prolongs the wait; a longer one prevents the retry. If the wait would pass
// the deadline of the request's context, there is no retry. If the last attempt
// fails too, the caller gets its response or error.
//
// Other methods are retried like GET if the caller allows it, with [AllowRetry]
// or Config.RetryMethods. Without that permission, such a request is sent again
// only if it was provably not executed. A 429 or a 503 proves nothing, because
// on this platform it can be a business response to a payment. The proofs are:
//
//   - The base requested a connection and never obtained one. The Transport
//     learns this from the hooks of [net/http/httptrace], which net/http and
//     golang.org/x/net/http2 call. If a base does not call the hooks, only a
//     dial error counts.
//   - The server said that it did not process the request, by GOAWAY or
//     REFUSED_STREAM (RFC 9113, section 8.7).
//
// A [net/http.Transport] also sends requests again by itself. When a kept
// connection breaks, it resends a request with the field Idempotency-Key or
// X-Idempotency-Key, whatever its method: it treats the field as the caller's
// permission. This package prevents such a resend unless the request may be
// executed twice. It cannot prevent one case: over HTTP/2, net/http resends a
// request without a body if the server resets its stream with PROTOCOL_ERROR.
//
// # Reading order
//
// transport.go has the path of a request, exchange.go the request's attempts.
// The details stand in other files. hosts.go decides which hosts get a token;
// unsenterror.go lists the reasons not to send a request. header.go and body.go
// prepare the outgoing request, and recording.go the bodies that can be read
// once. connection.go, trace.go and failure.go decide what an error proves.
// retry.go decides when to retry. unauthorized.go handles a 401: prefetch.go
// reads its body ahead, endpoint.go names the endpoint, and unreadrefusals.go
// limits the renewals after a 401 that could not be read. verdict.go,
// errorbody.go and challenge.go decide its verdict. The life of a token is in
// package tokensource (token.go, grant.go). verdictof.go and retrygroup.go give
// the verdict to a proxy. config.go has the configuration, hooks.go what
// telemetry can observe. router.go chooses between several Transports.
package transport
