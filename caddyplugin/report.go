package caddyplugin

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A report is what there is to say of a live client: to the log, a warning when
// something begins to fail and a line when it is over, however many requests
// that concerns; to the admin API, the counts.
type report struct {
	loggers loggers

	noTokens   condition // no token can be had
	noChecks   condition // health checks have no token
	rejected   recurring // an account is given no token
	unaccepted recurring // an upstream refuses tokens that are new
	faulty     recurring // what is configured keeps a request from being sent

	mu        sync.Mutex
	issuances uint64
	failures  map[tokensource.Kind]uint64
}

func newReport() *report {
	return &report{failures: map[tokensource.Kind]uint64{}}
}

// hooks are told of issuances.
func (r *report) hooks() tokensource.Hooks {
	return tokensource.Hooks{
		Issue: func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			return issue, r.issued
		},
	}
}

// issued notes the end of an issuance.
func (r *report) issued(result tokensource.IssueResult) {
	err, failed := result.Err.(*tokensource.Error) //nolint:errorlint // It is one, by the contract of the hook.
	r.count(err)
	switch {
	case !failed:
		if r.noTokens.end() {
			r.loggers.last().Info("tokens can be had again")
		}
	case err.Kind == tokensource.ErrAccountRejected || err.Kind == tokensource.ErrAccountMismatch:
		if r.rejected.begin() {
			r.loggers.last().Warn("the token endpoint gives no token for an account", describe(err)...)
		}
	case r.noTokens.begin():
		r.loggers.last().Warn("no token can be had", describe(err)...)
	}
}

// count counts an issuance, and its failure, if it has one.
func (r *report) count(err *tokensource.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issuances++
	if err != nil {
		r.failures[err.Kind]++
	}
}

// counts returns how many issuances there were, and how many failed.
func (r *report) counts() (issuances uint64, failures map[tokensource.Kind]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.issuances, maps.Clone(r.failures)
}

// refused notes that an upstream has refused a token that could not be replaced
// by a better one.
func (r *report) refused() {
	if r.unaccepted.begin() {
		r.loggers.last().Warn("the platform refuses a token, and renewing it does not help")
	}
}

// unsent notes that a request was not sent because of what is configured, which
// its client is not told.
func (r *report) unsent(err error) {
	if r.faulty.begin() {
		r.loggers.last().Warn("a request is not sent, for a fault in the configuration", zap.String("error", options.Replace(err.Error())))
	}
}

// unchecked notes that a health check was not sent, and passed.
func (r *report) unchecked(err error) {
	if r.noChecks.begin() {
		r.loggers.last().Warn("health checks are not sent for want of a token, and count as passed", zap.Error(err))
	}
}

// checked notes that a health check was sent.
func (r *report) checked() {
	if r.noChecks.end() {
		r.loggers.last().Info("health checks are sent again")
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

// A condition holds or does not.
type condition struct{ holds atomic.Bool }

// begin reports whether the condition has begun now.
func (c *condition) begin() bool { return !c.holds.Load() && !c.holds.Swap(true) }

// end reports whether the condition has ended now.
func (c *condition) end() bool { return c.holds.Load() && c.holds.Swap(false) }

// A recurring event comes for one request and not for the next, so that it has
// no end but silence.
type recurring struct {
	mu   sync.Mutex
	last time.Time
}

// silence is how long it has to be over until it can begin again.
const silence = 10 * time.Minute

// begin reports whether the event has begun now.
func (r *recurring) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.last
	r.last = time.Now()
	return r.last.Sub(before) > silence
}
