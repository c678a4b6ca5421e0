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
	logger atomic.Pointer[zap.Logger]

	tokens   condition // whether tokens can be had
	accounts condition // whether there are accounts that are given none
	upstream condition // whether an upstream refuses tokens that are new
	health   condition // whether health checks have a token

	mu        sync.Mutex
	issuances uint64
	failures  map[tokensource.Kind]uint64
	rejected  time.Time // when an account was last rejected
}

func newReport() *report {
	r := &report{failures: map[tokensource.Kind]uint64{}}
	r.logger.Store(zap.NewNop())
	return r
}

// A condition holds or does not.
type condition struct{ holds atomic.Bool }

// begin reports whether the condition has begun now.
func (c *condition) begin() bool { return !c.holds.Load() && !c.holds.Swap(true) }

// end reports whether the condition has ended now.
func (c *condition) end() bool { return c.holds.Load() && c.holds.Swap(false) }

// A loan is a logger that a configuration has lent, and the one it replaced.
type loan struct {
	report       *report
	mine, before *zap.Logger
}

// lend has the report use a logger.
func (r *report) lend(logger *zap.Logger) loan {
	return loan{r, logger, r.logger.Swap(logger)}
}

// takeBack has the report use the logger that there was before, if nobody has
// lent another since.
func (l loan) takeBack() { l.report.logger.CompareAndSwap(l.mine, l.before) }

// hooks are told of issuances.
func (r *report) hooks() tokensource.Hooks {
	return tokensource.Hooks{
		Issue: func(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
			return issue, r.issued
		},
	}
}

// quietAccounts is how long no account must have been rejected until the next
// that is makes a line in the log.
const quietAccounts = 10 * time.Minute

// issued notes the end of an issuance.
func (r *report) issued(result tokensource.IssueResult) {
	err, failed := result.Err.(*tokensource.Error) //nolint:errorlint // It is one, by the contract of the hook.
	r.count(err)
	switch {
	case !failed:
		if r.tokens.end() {
			r.logger.Load().Info("tokens can be had again")
		}
	case err.Kind == tokensource.ErrAccountRejected || err.Kind == tokensource.ErrAccountMismatch:
		if r.anotherRejected() {
			r.logger.Load().Warn("the token endpoint gives no token for an account", describe(err)...)
		}
	case r.tokens.begin():
		r.logger.Load().Warn("no token can be had", describe(err)...)
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

// anotherRejected notes that an account was rejected, and reports whether that
// is news: others may be rejected all day long.
func (r *report) anotherRejected() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.rejected
	r.rejected = time.Now()
	return r.rejected.Sub(before) > quietAccounts
}

// counts returns how many issuances there were, and how many failed.
func (r *report) counts() (issuances uint64, failures map[tokensource.Kind]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.issuances, maps.Clone(r.failures)
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
