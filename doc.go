// SPDX-License-Identifier: Apache-2.0

// Package pismoauth documents this repository. It has no code.
//
// Pismo's server-to-server authentication issues tokens that live for ten
// minutes. A token is for one account or for the whole organization. These
// packages obtain, cache, renew and attach tokens:
//
//   - tokensource: a Source, which has one token per account. A token is issued
//     once for all callers, cached while it is valid, and renewed before it
//     expires. The package does not depend on HTTP or telemetry.
//   - tokensource/passport: Issuers, which talk to Pismo's Passport API.
//   - tokensource/passporttest: a fake server for tests, with Passport and a
//     resource API.
//   - tokensource/fleet: an Issuer that shares tokens between the processes of
//     a fleet, through a store of your own.
//   - transport: an http.RoundTripper, which attaches the token and retries
//     requests that may be retried. After a 401 it finds the verdict, renews
//     the token and replays the request.
//   - middleware: the inbound side of a server between an app and Pismo. It
//     finds the account of a request, and has a complete reverse proxy.
//   - telemetry: OpenTelemetry spans and metrics for tokens, and a log of
//     changes of state. Only this package imports OpenTelemetry.
//   - caddyplugin: a plugin for Caddy with all of this, in its own Go module.
//   - examples: programs to run, such as proxy and client; a Caddyfile, a
//     dashboard, alerts, recipes and a service to copy.
//
// A request takes this path:
//
//	http.Client → transport.Transport → (tokensource.Source → passport.S2S → Passport) → base → Pismo
//
// Start with transport/transport.go and tokensource/source.go.
package pismoauth
