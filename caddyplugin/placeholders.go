// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The placeholders. Neither holds a token or the id of an account.
const (
	placeholderKind      = "http.pismo.account.kind"
	placeholderSerial    = "http.pismo.token.serial"
	placeholderExpiresIn = "http.pismo.token.expires_in"
)

// tokenVar is the variable of a request that holds the token for its
// placeholders. The variable is safe to print.
const tokenVar = "pismo.token"

// setPlaceholders gives later handlers and logs the data of the request's
// token. If several handlers find accounts, the last account counts.
func setPlaceholders(ctx context.Context, token *tokensource.Token) {
	known := caddyhttp.GetVar(ctx, tokenVar) != nil
	caddyhttp.SetVar(ctx, tokenVar, token)
	if !known {
		replacerOf(ctx).Map(func(name string) (any, bool) { return placeholder(ctx, name) })
	}
}

func placeholder(ctx context.Context, name string) (any, bool) {
	token, ok := caddyhttp.GetVar(ctx, tokenVar).(*tokensource.Token)
	if !ok {
		return nil, false
	}
	switch name {
	case placeholderKind:
		return string(token.Account().Kind()), true
	case placeholderSerial:
		return token.Serial(), true
	case placeholderExpiresIn:
		return int64(max(time.Until(token.Expiry()), 0) / time.Second), true
	}
	return nil, false
}
