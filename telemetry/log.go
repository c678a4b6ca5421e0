package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// LogHooks returns hooks for one [tokensource.Source] and for the transports that
// use it, which log what changes: for those who have no tracing backend, or want
// to be told by their logs all the same. They need nothing else of this package,
// and no OpenTelemetry.
//
// A line is logged for a change of state, not for a request: a thousand requests
// refused together are one line, and an outage is one when it begins, for each
// account that meets it, and one when it is over.
//
//	DEBUG  token issued                 each; reason says why, lifetime how long it lives
//	DEBUG  issuance still fails         each further failure of the same kind
//	INFO   issuance works again         the first token of an account after failures
//	INFO   refused token replaced       the request was sent again with the new one
//	WARN   issuance fails               the account is cooling, for retry_after
//	ERROR  issuance fails               the same, for a cause that does not pass by itself:
//	                                    credentials_rejected, account_mismatch,
//	                                    malformed_response, misconfigured, issuer_panic
//	WARN   refused token not replaced   the caller got the 401; outcome and error say why
//	WARN   401 of a kind not known      to a request that must not be sent twice; the token
//	                                    is renewed for the next
//
// Answers of the platform's business are no such change, whatever their status,
// and neither are retries. No line holds an account, a key, a token, a URL or
// anything of a body; scope says what kind of account it is about, and serial
// numbers the tokens of the Source.
//
// The logger is called with the context of what happened, so that a handler can
// add the ids of its trace: join these hooks after those of a [Telemetry]. What
// the hooks remember, to know what has changed, is bounded: the last 1,024
// accounts that fail, and as many refused tokens.
func LogHooks(log *slog.Logger) (tokensource.Hooks, transport.Hooks) {
	l := &logbook{log: log, failing: map[tokensource.Account]failing{}}
	return tokensource.Hooks{Issue: l.issue}, transport.Hooks{Refused: l.refused}
}

// A logbook logs what changes, and so has to know what was.
type logbook struct {
	log *slog.Logger

	mu      sync.Mutex
	failing map[tokensource.Account]failing

	replaced, notReplaced, again, unclear once
}

// failing is an account whose last issuance failed.
type failing struct {
	kind  tokensource.Kind
	count int
	since time.Time
}

// maxFailing is how many failing accounts are remembered.
const maxFailing = 1024

func (l *logbook) issue(issue, _ context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	began := time.Now()
	return issue, func(result tokensource.IssueResult) {
		about := []slog.Attr{
			slog.String("reason", string(info.Reason)),
			slog.String("scope", info.Account.String()),
			slog.Int("attempts", result.Attempts),
			slog.Duration("took", time.Since(began)),
		}
		if result.Err != nil {
			l.failed(issue, info.Account, result.Err, about)
			return
		}
		about = append(about, slog.Uint64("serial", result.Serial), slog.Duration("lifetime", result.Lifetime))
		l.log.LogAttrs(issue, slog.LevelDebug, "token issued", about...)
		if before, ok := l.recovered(info.Account); ok {
			l.log.LogAttrs(issue, slog.LevelInfo, "issuance works again",
				slog.String("scope", info.Account.String()),
				slog.Uint64("serial", result.Serial),
				slog.Int("failures", before.count),
				slog.Duration("after", time.Since(before.since)))
		}
	}
}

// failed logs a failure. One that was suppressed, because the whole Source was
// found to be cooling by the time of its turn, is no news.
func (l *logbook) failed(ctx context.Context, account tokensource.Account, err error, about []slog.Attr) {
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok || e.Suppressed {
		return
	}
	level, message := levelOf(e.Kind), "issuance fails"
	if !l.fails(account, e.Kind) {
		level, message = slog.LevelDebug, "issuance still fails"
	}
	l.log.LogAttrs(ctx, level, message, append(about, describeError(e)...)...)
}

// fails notes a failure, and reports whether it is news.
func (l *logbook) fails(account tokensource.Account, kind tokensource.Kind) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.failing[account]
	if !known {
		before.since = time.Now()
		l.forgetOne()
	}
	l.failing[account] = failing{kind, before.count + 1, before.since}
	return before.kind != kind
}

// forgetOne makes room for another failing account, if there is none left.
func (l *logbook) forgetOne() {
	if len(l.failing) < maxFailing {
		return
	}
	for account := range l.failing {
		delete(l.failing, account)
		return
	}
}

// recovered returns what is known of an account's failures, and forgets them.
func (l *logbook) recovered(account tokensource.Account) (failing, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, ok := l.failing[account]
	delete(l.failing, account)
	return before, ok
}

// levelOf returns the level of a failure: Error for what somebody has to mend.
func levelOf(kind tokensource.Kind) slog.Level {
	switch kind {
	case tokensource.ErrCredentialsRejected, tokensource.ErrAccountMismatch, tokensource.ErrMalformedResponse,
		tokensource.ErrMisconfigured, tokensource.ErrIssuerPanic:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// describeError returns what may be told of an error. Its text has no cause in
// it, and nothing of an answer.
func describeError(err error) []slog.Attr {
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok {
		return nil
	}
	attributes := []slog.Attr{slog.String("error", e.Error()), slog.String("error_type", string(e.Kind))}
	if e.StatusCode != 0 {
		attributes = append(attributes, slog.Int("status", e.StatusCode))
	}
	if e.RetryAfter > 0 {
		attributes = append(attributes, slog.Duration("retry_after", e.RetryAfter))
	}
	if e.CorrelationID != "" {
		attributes = append(attributes, slog.String("correlation_id", e.CorrelationID))
	}
	return attributes
}

func (l *logbook) refused(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
	switch info.Verdict {
	case transport.TokenRefused, transport.Unclear:
	default:
		return ctx, nil // An answer.
	}
	return ctx, func(result transport.RefusedResult) {
		about := []slog.Attr{
			slog.String("scope", info.Account.String()),
			slog.Uint64("refused_serial", info.Serial),
			slog.String("outcome", outcome(info, result).Value.AsString()),
		}
		if result.Serial != 0 {
			about = append(about, slog.Uint64("serial", result.Serial))
		}
		about = append(about, describeError(result.Err)...)
		if level, message, news := l.news(info, result); news {
			l.log.LogAttrs(ctx, level, message, about...)
		}
	}
}

// news returns what a refusal is to be logged as, and whether the token's being
// refused is news at all.
func (l *logbook) news(info transport.RefusedInfo, result transport.RefusedResult) (level slog.Level, message string, news bool) {
	switch {
	case info.Verdict == transport.Unclear:
		return slog.LevelWarn, "401 of a kind not known", l.unclear.first(info.Serial)
	case result.Outcome == transport.OutcomeReplayed:
		return slog.LevelInfo, "refused token replaced", l.replaced.first(info.Serial)
	case info.Replayed:
		return slog.LevelWarn, "refused token not replaced", l.again.first(info.Serial)
	}
	var e *tokensource.Error
	if errors.As(result.Err, &e) && e.Kind == tokensource.ErrCanceled {
		return 0, "", false // The caller has left.
	}
	return slog.LevelWarn, "refused token not replaced", l.notReplaced.first(info.Serial)
}

// once remembers the serials of the last tokens that something was logged for.
// The zero once has none.
type once struct {
	serials [1024]atomic.Uint64
}

// first reports whether it is the first time for a serial.
func (o *once) first(serial uint64) bool {
	return o.serials[serial%uint64(len(o.serials))].Swap(serial) != serial
}
