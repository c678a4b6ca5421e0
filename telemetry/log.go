package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A Logger logs what changes in one [tokensource.Source] and in the transports
// that use it. It is for programs without a tracing backend, and for those whose
// logs are to tell all the same. It needs nothing else of this package, and no
// OpenTelemetry. Make one with [NewLogger]. It is safe for concurrent use.
//
// A line is logged for a change of state, not for a request: a thousand
// requests refused together are one line. An outage is one when it begins and
// one when it is over; an endpoint that fails on and off for longer is one line
// more.
//
//	DEBUG  token issued                 each; reason says why, lifetime how long it lives
//	DEBUG  issuance still fails         each further failure of the same kind
//	INFO   issuance works again         the first token after failures
//	INFO   refused token replaced       the request was sent again with the new one
//	WARN   issuance fails               for the account or, as error_type says, for every
//	                                    one; no other begins for retry_after
//	WARN   issuance fails on and off    it failed again within a minute after it worked
//	ERROR  issuance fails               for a cause that somebody has to mend:
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
// The slog.Logger is called with the context of what happened, so that a handler
// can add the ids of its trace: join these hooks after those of a [Telemetry].
//
// A Logger has to remember what it has logged. That is bounded: the last 1,024
// accounts that fail, and as many refused tokens.
type Logger struct {
	log      *slog.Logger
	failures failures

	replaced, notReplaced, again, unrecognized once
}

// NewLogger returns a Logger that writes to log. If log is nil, the Logger has no
// hooks, as nil and the zero Logger have none.
func NewLogger(log *slog.Logger) *Logger { return &Logger{log: log} }

// SourceHooks returns the hooks for [tokensource.Config].
func (l *Logger) SourceHooks() tokensource.Hooks {
	if l == nil || l.log == nil {
		return tokensource.Hooks{}
	}
	return tokensource.Hooks{Issue: l.issue}
}

// TransportHooks returns the hooks for [transport.Config].
func (l *Logger) TransportHooks() transport.Hooks {
	if l == nil || l.log == nil {
		return transport.Hooks{}
	}
	return transport.Hooks{Refused: l.refused}
}

func (l *Logger) issue(issue, _ context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	began := time.Now()
	issue = orBackground(issue)
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
		if count, since := l.failures.end(info.Account); count > 0 {
			l.log.LogAttrs(issue, slog.LevelInfo, "issuance works again",
				slog.String("scope", info.Account.String()),
				slog.Uint64("serial", result.Serial),
				slog.Int("failures", count),
				slog.Duration("after", time.Since(since)))
		}
	}
}

// failed logs a failure. One that was suppressed, because the whole Source was
// found to be in cooldown by the time of its turn, is no news.
func (l *Logger) failed(ctx context.Context, account tokensource.Account, err error, about []slog.Attr) {
	if e := sourceError(err); e != nil && e.Suppressed {
		return
	}
	name, _ := errorType(err)
	kind := tokensource.ErrorKind(name)
	level, message := slog.LevelDebug, "issuance still fails"
	switch l.failures.add(account, kind) {
	case failureBegins:
		level, message = levelOf(kind), "issuance fails"
	case failureFlaps:
		level, message = slog.LevelWarn, "issuance fails on and off"
	}
	l.log.LogAttrs(ctx, level, message, append(about, describeError(err)...)...)
}

// levelOf returns the level of a failure: Error for what somebody has to mend.
func levelOf(kind tokensource.ErrorKind) slog.Level {
	switch kind {
	case tokensource.ErrCredentialsRejected, tokensource.ErrAccountMismatch, tokensource.ErrMalformedResponse,
		tokensource.ErrMisconfigured, tokensource.ErrIssuerPanic:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// describeError returns what may be logged of an error, if there is one. The
// text of a [tokensource.Error] is safe to print. That of any other is not.
func describeError(err error) []slog.Attr {
	e := sourceError(err)
	switch {
	case err == nil:
		return nil
	case e == nil:
		return []slog.Attr{slog.String("error_type", other)}
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

func (l *Logger) refused(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
	ctx = orBackground(ctx)
	switch info.Verdict {
	case transport.TokenRefused, transport.Unrecognized:
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
func (l *Logger) news(info transport.RefusedInfo, result transport.RefusedResult) (level slog.Level, message string, news bool) {
	switch {
	case info.Verdict == transport.Unrecognized:
		return slog.LevelWarn, "401 of a kind not known", l.unrecognized.first(info.Serial)
	case result.Outcome == transport.OutcomeReplayed:
		return slog.LevelInfo, "refused token replaced", l.replaced.first(info.Serial)
	case info.Replayed:
		return slog.LevelWarn, "refused token not replaced", l.again.first(info.Serial)
	}
	if _, failed := errorType(result.Err); result.Err != nil && !failed {
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
