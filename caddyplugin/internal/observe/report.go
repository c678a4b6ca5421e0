// SPDX-License-Identifier: Apache-2.0

// Package observe shows operators the state of a client: by log lines for
// changes of state, by metrics, and by spans.
package observe

import (
	"context"
	"log/slog"
	"maps"
	"sync"

	"github.com/pismoauth/pismoauth/internal/recurring"
	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/transport"
)

// A Report logs changes of state of a shared client, and counts its issuances.
// A [telemetry.Logger] logs issuances and refused tokens. The Report adds the
// lines about requests and health checks that Caddy cannot send. It is safe for
// concurrent use.
type Report struct {
	log    *slog.Logger
	tokens *telemetry.Logger

	misconfigured       recurring.Event // the configuration keeps a request from being sent
	healthChecksBare    recurring.Event // health checks have no token
	healthChecksRefused recurring.Event // the upstream refuses health checks without a token

	mu        sync.Mutex
	issuances uint64
	failures  map[tokensource.ErrorKind]uint64
}

// NewReport returns a Report that writes to log.
func NewReport(log *slog.Logger) *Report {
	return &Report{log: log, tokens: telemetry.NewLogger(log), failures: map[tokensource.ErrorKind]uint64{}}
}

// SourceHooks returns the hooks that log and count issuances.
func (r *Report) SourceHooks() tokensource.Hooks {
	count := func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
		return issue, r.count
	}
	return tokensource.JoinHooks(r.tokens.SourceHooks(), tokensource.Hooks{Issue: count})
}

// TransportHooks returns the hooks that log refused tokens.
func (r *Report) TransportHooks() transport.Hooks { return r.tokens.TransportHooks() }

// FleetHooks returns the hooks that log the state of a fleet's store.
func (r *Report) FleetHooks() fleet.Hooks { return r.tokens.FleetHooks() }

// count counts an issuance and its failure, if any.
func (r *Report) count(result tokensource.IssueResult) {
	err, failed := result.Err.(*tokensource.Error) //nolint:errorlint // The hook guarantees the type.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issuances++
	if failed {
		r.failures[err.Kind]++
	}
}

// Counts returns the number of issuances and the number of failures by kind.
func (r *Report) Counts() (issuances uint64, failures map[tokensource.ErrorKind]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.issuances, maps.Clone(r.failures)
}

// RequestUnsent records that a request to an upstream was not sent because of a
// fault in the configuration. Only the log contains the remedy. The response to
// the client does not.
func (r *Report) RequestUnsent(upstream, remedy string) {
	if r.misconfigured.Begin() {
		r.log.Warn("a request is not sent because of a fault in the configuration",
			slog.String("upstream", upstream), slog.String("error", remedy))
	}
}

// HealthCheckUnsent records that a health check was not sent because there was
// no token for it, and that it counts as passed.
func (r *Report) HealthCheckUnsent(err error) {
	if r.healthChecksBare.Begin() {
		r.log.Warn("health checks have no token, and count as passed", slog.Any("error", err))
	}
}

// HealthCheckRefused records that an upstream refused a health check without a
// token, and that the check counts as passed.
func (r *Report) HealthCheckRefused(status int) {
	if r.healthChecksRefused.Begin() {
		r.log.Info("health checks are sent without a token, and count as passed although the upstream refuses them; set health_account to send a token", slog.Int("status", status))
	}
}
