// SPDX-License-Identifier: Apache-2.0

// Package tokensource provides access tokens for the Pismo platform. A [Source]
// keeps one token per account. It issues each token once, however many callers
// ask for it. It renews a token before the token expires, and replaces a token
// that the platform refuses.
//
//	source, err := tokensource.New(tokensource.Config{Issuer: &passport.S2S{ … }})
//	account, err := tokensource.ParseAccountID("102681871")
//	token, err := source.Token(ctx, account)
//	token.SetAuthHeader(req.Header)
//
// Most programs hand the [Source] to a transport.Transport, and call no method
// of the Source themselves.
//
// # The life of a token
//
// For a caller, the token of an account is in one of four states:
//
//   - Fresh. The Source returns the token at once.
//   - Stale. The token is in about the last quarter of its life. The Source
//     returns it at once, and issues its successor in the background. The start
//     of this state varies from token to token, so that tokens issued together
//     are not renewed together.
//   - Unusable. There is no token, or it is in the last tenth of its life (the
//     last 15 s, if a tenth is longer). The caller waits for the issuance that
//     runs for the account. If none runs, the caller starts one.
//   - In cooldown. There is no usable token, and no issuance may begin yet,
//     because earlier issuances for this account, or for the whole Source,
//     failed. The Source returns the cause of the failure at once, with the
//     time after which a retry makes sense.
//
// A token's life begins just before the request for the token, or earlier by
// Grant.Age. Its length is the shortest that the endpoint states: exp − iat if
// the token is a JWT, expires_in, or exp minus the time of the response by the
// endpoint's own clock. If the endpoint states none, the length is ten minutes.
// It is never more than an hour. So the local clock need not agree with
// Pismo's.
//
// # Refusals
//
// [Source.Renew] replaces a token that the platform refuses. New callers wait
// for the successor for at most a second, and then get the refused token. If
// the last renewal failed, they get the refused token at once. A refusal by one
// endpoint does not mean that the token is revoked. When three different
// endpoints have refused a token, and none has accepted it in between, the
// Source stops handing it out.
//
// # Failures
//
// If the endpoint is unavailable, or its response is malformed, the issuance
// makes a second attempt. An issuance that follows a failed issuance makes one
// attempt. After each failure the account is in cooldown. The length of a
// cooldown is random: 0.5 to 1 s after the first failure, then 1 to 2 s, 2 to 4
// s, and so on up to 15 to 30 s. If the endpoint sends Retry-After, the
// cooldown lasts that long, at least a second and at most a minute.
//
// A breaker opens for the whole Source when three different accounts have
// failed with no success in between, or when the organization has failed. It
// stays open on the same schedule as a cooldown, but for up to 5 minutes if the
// credentials were rejected. Then the breaker lets one issuance through. The
// outcome of that issuance closes the breaker or opens it again. A rejected
// account counts only if it has had a token before, or if no account has had a
// token. So requests for accounts that do not exist do not open the breaker.
//
// While the breaker is open, the Source still hands out the tokens that are
// valid.
//
// # Rules of correct use
//
//   - Make one Source for each set of credentials, and share it.
//   - Do not keep tokens. Ask the Source for a token for each request. This
//     costs one look-up.
//   - When the platform refuses a token, call [Source.Renew] with it. A renewal
//     may not help, because a 401 has many reasons.
//   - The zero [Account] is invalid. Use [Organization] for the whole
//     organization.
//   - Log tokens, accounts and errors as they are. They do not print their
//     secrets.
//
// # Reading order
//
// config.go has the configuration, source.go the Source. A call of Token goes
// through acquire.go, which finds the account's entry (entry.go) and waits for
// an issuance (issuance.go, issuance_hook.go). ask.go calls the issuer, and has
// the second attempt of an issuance. The issuer returns a grant (grant.go,
// claims.go), which becomes a token (token.go). grant.go computes the token's
// lifetime; token.go decides when the token is stale, unusable and expired. A
// refusal arrives in renew.go and refusals.go. breaker.go, cooldown.go,
// revision.go and slots.go decide when no issuance may begin; cooldown.go has
// the schedule of issuances after a failure. The schedule of retries of
// requests stands in package transport. The errors stand in errorkind.go and
// errors.go.
package tokensource
