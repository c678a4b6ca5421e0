// SPDX-License-Identifier: Apache-2.0

package tokensource

import "context"

type accountKey struct{}

// ContextWithAccount returns a copy of ctx that carries account. A transport
// sends requests with this context for that account.
func ContextWithAccount(ctx context.Context, account Account) context.Context {
	return context.WithValue(ctx, accountKey{}, account)
}

// AccountFromContext returns the account that ctx carries, and whether it
// carries an account.
func AccountFromContext(ctx context.Context) (Account, bool) {
	account, ok := ctx.Value(accountKey{}).(Account)
	return account, ok
}

type tokenKey struct{}

// ContextWithForwardedToken returns a copy of ctx that carries token. It says
// that the request has had this token before. Neither does Token return it, nor
// does a transport send it for that reason: both use the account's current
// token. It has two effects. A transport accepts an Authorization field with
// this token, and replaces it. A hook sees the call of Token as a repeated one,
// see [AcquireInfo].
func ContextWithForwardedToken(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// ForwardedTokenFromContext returns the token that ctx carries, and whether it
// carries a token.
func ForwardedTokenFromContext(ctx context.Context) (*Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(*Token)
	return token, ok
}

type healthCheckKey struct{}

// ContextWithHealthCheck returns a copy of ctx for the request of a health
// check. A health check may start an issuance like any other request. The
// failure of that issuance never counts for the breaker of a [Source]. It is
// never the probe that tests whether the endpoint has recovered: the probe is
// reserved for a user's request. The account's own cooldown still applies.
func ContextWithHealthCheck(ctx context.Context) context.Context {
	return context.WithValue(ctx, healthCheckKey{}, true)
}

func isHealthCheck(ctx context.Context) bool {
	check, _ := ctx.Value(healthCheckKey{}).(bool)
	return check
}
