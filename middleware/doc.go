// Package middleware is the inbound side: it finds out for which account a
// request is that comes in, makes sure that a token can be had, and has every
// request that goes out in its name act for that account.
//
//	Middleware.Wrap(next)   for a handler of your own
//	NewProxy                a whole reverse proxy to the platform
//	NewReadiness            a readiness probe
//
// # Where the account comes from
//
// Config.Account is a function of yours, or one of these. Each says for itself
// what it trusts:
//
//   - [FixedAccount]: every request is for one account.
//   - [FromContext]: your own authentication has put an account in the context.
//   - [FromPath]: the path names it, and your own authorization has checked it.
//   - [FromJWT]: a claim of an inbound JWT, which is verified here.
//   - [FromHeader]: a header, which something in front of this program sets and
//     no client can.
//
// # Rules of correct use
//
//   - Whoever chooses the account chooses whose money moves. Take it from what
//     your authentication has proved, never from what a client says: not from a
//     path, a query or a header that nobody has checked.
//   - A request without an account is answered 403. It never acts for the
//     organization, unless the function returns tokensource.Organization. If
//     it is the program that has never put an account where it is looked for,
//     the answer is 500, and the log says what is missing.
//   - Put a Middleware after your authentication, and before the handler that
//     talks to the platform.
//   - An inbound Authorization is for this program, and is dropped. It does not
//     reach the platform.
//   - A router's pattern bounds what a client can reach: a target that another
//     server could read as a path outside of it is answered 400. Check what a
//     handler of yours makes of path, query and body before it asks the
//     platform.
//   - A key server or a session store that is down says nothing about a client.
//     Return [ErrVerifierUnavailable], and clients stay logged in.
//   - Use the transport, with the context of the inbound request, for requests
//     to the platform. The Authorization that Wrap sets is for handlers that
//     merely forward; a handler that logs its header logs a token.
//
// # What a client is answered
//
// Failures are answered as application/problem+json (RFC 9457), each kind with
// a type and a detail of its own, both constant; see [Problem]. Nothing of what
// the token endpoint has said is in them.
//
// # What is logged
//
// By default, slog.Default() is told when requests begin to fail for a reason
// that is not their client's, and when they no longer do: one line each for a
// kind of failure. Config.Logger says who else is told, or nobody. The errors
// themselves say with a method Permanent whether to ask again can help.
package middleware
