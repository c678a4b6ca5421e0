// Package observe tells operators what a client of the plugin does: by log
// lines for changes of state, by metrics, and by spans.
package observe

import (
	"context"
	"maps"
	"sync"

	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A Report is what there is to say of a shared client. The log gets a warning
// when something begins to fail and a line when it is over, however many
// requests that concerns; the admin API gets the counts.
type Report struct {
	logger func() *zap.Logger

	issuanceFailing     *condition // token issuance is failing
	healthChecksBare    *condition // health checks have no token
	accountRejected     recurring  // an account is given no token
	refused             recurring  // an upstream refuses tokens that are new
	misconfigured       recurring  // the configuration keeps a request from being sent
	healthChecksRefused recurring  // health checks are refused for want of a token

	mu        sync.Mutex
	issuances uint64
	failures  map[tokensource.ErrorKind]uint64
}

// NewReport returns a report that logs to the logger of the moment.
func NewReport(logger func() *zap.Logger) *Report {
	r := &Report{logger: logger, failures: map[tokensource.ErrorKind]uint64{}}
	r.issuanceFailing = newCondition(func() { r.logger().Info("token issuance recovered") })
	r.healthChecksBare = newCondition(func() { r.logger().Info("health checks have a token again") })
	return r
}

// Reset has the log say anew what fails and what works: an operator has
// intervened.
func (r *Report) Reset() {
	r.issuanceFailing.reset()
	r.healthChecksBare.reset()
}

// Stop ends what the Report waits for.
func (r *Report) Stop() {
	r.issuanceFailing.stop()
	r.healthChecksBare.stop()
}

// Hooks returns the hooks that record issuances.
func (r *Report) Hooks() tokensource.Hooks {
	return tokensource.Hooks{
		Issue: func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			return issue, r.issuanceEnded
		},
	}
}

// issuanceEnded notes the end of an issuance.
func (r *Report) issuanceEnded(result tokensource.IssueResult) {
	err, failed := result.Err.(*tokensource.Error) //nolint:errorlint // It is one, by the contract of the hook.
	r.count(err)
	switch {
	case !failed:
		r.issuanceFailing.end()
	case err.Kind == tokensource.ErrAccountRejected || err.Kind == tokensource.ErrAccountMismatch:
		if r.accountRejected.begin() {
			r.logger().Warn("the token endpoint gives no token for an account", describe(err)...)
		}
	case r.issuanceFailing.begin():
		r.logger().Warn("token issuance is failing", describe(err)...)
	}
}

// count counts an issuance, and its failure, if it has one.
func (r *Report) count(err *tokensource.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issuances++
	if err != nil {
		r.failures[err.Kind]++
	}
}

// Counts returns how many issuances there were, and how many failed.
func (r *Report) Counts() (issuances uint64, failures map[tokensource.ErrorKind]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.issuances, maps.Clone(r.failures)
}

// TokenRefused notes that an upstream has refused a token that could not be
// replaced by a better one.
func (r *Report) TokenRefused() {
	if r.refused.begin() {
		r.logger().Warn("the platform refuses a token, and renewing it does not help")
	}
}

// RequestUnsent notes that a request to an upstream was not sent because of a
// fault in the configuration, and what mends it. The client is not told why.
func (r *Report) RequestUnsent(upstream, remedy string) {
	if r.misconfigured.begin() {
		r.logger().Warn("a request is not sent, for a fault in the configuration",
			zap.String("upstream", upstream), zap.String("error", remedy))
	}
}

// HealthCheckUnsent notes that a health check was not sent for want of a token,
// and passed.
func (r *Report) HealthCheckUnsent(err error) {
	if r.healthChecksBare.begin() {
		r.logger().Warn("health checks have no token, and count as passed", zap.Error(err))
	}
}

// HealthCheckSent notes that a health check was sent with a token.
func (r *Report) HealthCheckSent() { r.healthChecksBare.end() }

// HealthCheckRefused notes that an upstream refused a health check without a
// token, which passed.
func (r *Report) HealthCheckRefused(status int) {
	if r.healthChecksRefused.begin() {
		r.logger().Info("health checks are sent without a token; the upstream refuses them, and they count as passed; to check more, set health_account", zap.Int("status", status))
	}
}

// describe returns what a log may hold of an error.
func describe(err *tokensource.Error) []zap.Field {
	fields := []zap.Field{zap.String("error_type", err.ErrorType()), zap.Error(err)}
	if err.StatusCode != 0 {
		fields = append(fields, zap.Int("status", err.StatusCode))
	}
	if err.CorrelationID != "" {
		fields = append(fields, zap.String("correlation_id", err.CorrelationID))
	}
	return fields
}
