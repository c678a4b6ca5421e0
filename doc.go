// Package pismoauth is the map of this repository; it holds no code.
//
// Pismo's server-to-server authentication hands out tokens that live ten
// minutes, one per account or one for the whole organization. These packages
// obtain, keep, renew and attach them:
//
//   - tokensource: a Source, which has one token per account: issued once
//     however many ask, kept while it lives, renewed before it expires. It
//     knows neither HTTP nor telemetry.
//   - tokensource/passport: Issuers, which talk to Pismo's Passport API.
//   - tokensource/passporttest: a fake of Passport and of a resource API
//     behind it, for tests; ours and yours.
//   - tokensource/fleet: an Issuer that shares tokens between the processes of
//     a fleet, through a store of your own.
//   - transport: an http.RoundTripper, which attaches the token, retries what
//     may be retried, and on a 401 decides, renews and replays.
//   - middleware: the inbound side of a server in between: for which account is
//     this request? And a whole reverse proxy.
//   - telemetry: OpenTelemetry spans and metrics of what happens to tokens, and
//     a log of what changes. The only package here that imports OpenTelemetry.
//   - caddyplugin: all of it for Caddy, as a plugin; a Go module of its own.
//   - examples: programs to run, such as proxy and client; a Caddyfile, a
//     dashboard, alerts, recipes and a service to copy.
//
// A request goes this way:
//
//	http.Client → transport.Transport → (tokensource.Source → passport.S2S → Passport) → base → Pismo
//
// Start with transport/transport.go and tokensource/source.go.
package pismoauth
