// SPDX-License-Identifier: Apache-2.0

// Package middleware is the inbound side. It finds the account of each inbound
// request, makes sure that there is a token for the account, and puts the
// account into the request's context. Outbound requests that are made with this
// context act for the account.
//
//	Middleware.Wrap(next)   for a handler of your own
//	NewProxy                a whole reverse proxy to the platform
//	NewReadiness            a readiness probe
//
// # Where the account comes from
//
// Config.Account is a function of the program, or one of the functions below.
// The comment of each function says what it trusts.
//
//   - [FixedAccount]: every request is for one account.
//   - [FromContext]: the program's own authentication has put the account into
//     the context.
//   - [FromPath]: the path has the account id, and the program's own
//     authorization has checked it.
//   - [FromJWT]: a claim of an inbound JWT has the account id. FromJWT verifies
//     the JWT.
//   - [FromHeader]: a header field has the account id. A server in front of
//     this program sets the field, and no client can set it.
//
// # Rules of correct use
//
//   - The choice of the account decides whose money moves. Take the account
//     from what your authentication has proved. Never take it from a path, a
//     query or a header that nobody has checked.
//   - A request without an account is answered 403. It never acts for the
//     organization, unless the function returns tokensource.Organization. If
//     the account is missing because of a mistake of the program (no value in
//     the context, no wildcard in the pattern), the answer is 500, and the log
//     says what is missing.
//   - Put a Middleware after your authentication, and before the handler that
//     sends requests to the platform.
//   - An inbound Authorization is for this program. The Middleware drops it, so
//     that it does not reach the platform.
//   - A router's pattern bounds the paths that a client can reach. A target
//     that another server could read as a different path is answered 400. Your
//     handler must check the parts of path, query and body that it uses in
//     requests to the platform.
//   - The outage of a key server or a session store says nothing about a
//     client. Return [ErrVerifierUnavailable] from the AccountFunc: the answer
//     is 503 and not 401, so clients stay logged in.
//   - Send requests to the platform through the transport, with the context of
//     the inbound request. The Authorization that Wrap sets is for handlers
//     that merely forward. A handler that logs its header logs a token.
//
// # Answers to failures
//
// Failures are answered as application/problem+json (RFC 9457). Each kind has
// its own type and detail, and both are constant; see [Problem]. The answer
// holds nothing from the token endpoint's answer. tokensource.IsPermanent says
// of an error whether a retry is pointless until somebody changes something.
//
// # Log
//
// A Middleware logs one line when requests begin to fail for a reason that is
// not their client's, and one line when no request has failed so for a minute.
// It does so for each kind of failure. Config.Logger selects the logger; the
// default is slog.Default().
//
// # Reading order
//
// A request passes middleware.go first: Wrap, Admit, and the search for the
// account (account.go, pathaccount.go, header.go, jwt.go). The JWT's
// configuration is in jwtconfig.go, the proxy's in proxyconfig.go, its key in
// jwtkey.go. fields.go removes header fields. The proxy (proxy.go) handles each
// request in an exchange (proxyexchange.go), with the body in inboundbody.go
// and the client's connection in responsewriter.go. Errors are in autherror.go
// and failures.go, their answers in problem.go and classify.go, their log in
// failurelog.go and failuretext.go. readiness.go is a probe of its own.
package middleware
