package tokensource

import "context"

type accountKey struct{}

// ContextWithAccount returns a copy of ctx that carries account. Requests made
// with it through a transport act for that account.
func ContextWithAccount(ctx context.Context, account Account) context.Context {
	return context.WithValue(ctx, accountKey{}, account)
}

// AccountFromContext returns the account that ctx carries, and whether it
// carries one.
func AccountFromContext(ctx context.Context) (Account, bool) {
	account, ok := ctx.Value(accountKey{}).(Account)
	return account, ok
}

type tokenKey struct{}

// ContextWithToken returns a copy of ctx that carries token, for a handler that
// forwards a request with the token in its Authorization. A transport takes an
// Authorization that is this token's for its own, and replaces it; it never
// sends the token for that reason.
func ContextWithToken(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// TokenFromContext returns the token that ctx carries, and whether it carries
// one.
func TokenFromContext(ctx context.Context) (*Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(*Token)
	return token, ok
}

type healthCheckKey struct{}

// ContextWithHealthCheck returns a copy of ctx for the request of a health check.
// An issuance that begins for it never counts towards the failures for which a
// [Source] suspends all issuances, and is never the one that is let through to
// try whether the endpoint has recovered: that place is for a user's request.
func ContextWithHealthCheck(ctx context.Context) context.Context {
	return context.WithValue(ctx, healthCheckKey{}, true)
}

func isHealthCheck(ctx context.Context) bool {
	check, _ := ctx.Value(healthCheckKey{}).(bool)
	return check
}
