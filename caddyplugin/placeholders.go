package caddyplugin

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The placeholders. Neither holds a token or the id of an account.
const (
	placeholderKind      = "http.pismo.account.kind"
	placeholderSerial    = "http.pismo.token.serial"
	placeholderExpiresIn = "http.pismo.token.expires_in"
)

// setPlaceholders has later handlers and logs know the token that a request is
// sent with.
func setPlaceholders(repl *caddy.Replacer, token *tokensource.Token) {
	repl.Map(func(name string) (any, bool) {
		switch name {
		case placeholderKind:
			return string(token.Account().Kind()), true
		case placeholderSerial:
			return token.Serial(), true
		case placeholderExpiresIn:
			return int64(max(time.Until(token.Expiry()), 0) / time.Second), true
		}
		return nil, false
	})
}
