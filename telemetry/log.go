// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"log/slog"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A Logger logs changes of state of one [tokensource.Source] and of the
// transports that use it. Make one Logger for each Source. It is for programs
// without a tracing backend, and for programs whose logs must tell what the
// spans tell. It needs neither a [Telemetry] nor OpenTelemetry. Make it with
// [NewLogger]; the zero Logger logs nothing. Its methods may be called
// concurrently.
//
// A Logger writes a line for a change of state, and not for a request. A
// thousand requests that are refused together make one line. An outage makes a
// line when it begins, and a line when it ends. An endpoint that keeps failing
// and recovering makes one further line.
//
//	DEBUG  token issued                     each token; reason says why, lifetime how long
//	                                        the token is valid
//	DEBUG  token issuance is still failing  each further failure of the same kind
//	INFO   token issuance recovered         the first token after failures
//	INFO   refused token replaced           the request was replayed with the new token
//	WARN   token issuance is failing        for the account or, depending on error_type,
//	                                        for every account; the next issuance begins
//	                                        after retry_after
//	WARN   token issuance is flapping       it failed within a minute after it succeeded
//	ERROR  token issuance is failing        an operator has to repair the cause:
//	                                        credentials_rejected, account_mismatch,
//	                                        malformed_response, misconfigured, issuer_panic
//	WARN   refused token not replaced       the caller got the 401; outcome and error say
//	                                        why
//	WARN   401 not recognized               the transport cannot interpret the 401; the
//	                                        token may be renewed for the next request
//
// The last two lines have the level DEBUG while they follow one another within
// ten minutes: a platform that refuses every token would fill the log. So have
// the failures of further accounts within ten minutes of each other.
//
// With the hooks of FleetHooks, a Logger also logs the state of a fleet's
// store:
//
//	DEBUG  token store operation failed     each failure
//	INFO   token store recovered            the process uses the store again
//	WARN   token store is failing           the process issues tokens without the store
//	WARN   token store value not used       no process of the fleet sealed the value:
//	                                        somebody else writes to the store
//
// These warnings, too, have the level DEBUG while they follow one another
// within ten minutes.
//
// A Logger does not log business answers of the platform, whatever their
// status, nor retries. No line has an account, a key, a token, a URL or a part
// of a body. The attribute scope is the kind of the account, and serial is the
// number of the token in its Source.
//
// A Logger calls its slog.Handler with the context of the event, so that the
// handler can add trace ids: join the Logger's hooks after those of a
// [Telemetry].
//
// A Logger remembers what it has logged, for at most 1,024 failing accounts and
// 1,024 refused tokens for each of the lines about refused tokens.
type Logger struct {
	log      *slog.Logger
	failures failures
	store    storeState

	replaced, refusedAgain, notRenewed, unrecognized refusedTokens
}

// NewLogger returns a Logger that writes to log. If log is nil, the Logger logs
// nothing, like a nil Logger and the zero Logger.
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
		attributes := []slog.Attr{
			slog.String("reason", string(info.Reason)),
			slog.String("scope", info.Account.String()),
			slog.Int("attempts", result.Attempts),
			slog.Duration("took", time.Since(began)),
		}
		if result.Err != nil {
			l.failed(issue, info.Account, result.Err, attributes)
			return
		}
		attributes = append(attributes, slog.Uint64("serial", result.Serial), slog.Duration("lifetime", result.Lifetime))
		l.log.LogAttrs(issue, slog.LevelDebug, "token issued", attributes...)
		if count, since := l.failures.end(info.Account); count > 0 {
			l.log.LogAttrs(issue, slog.LevelInfo, "token issuance recovered",
				slog.String("scope", info.Account.String()),
				slog.Uint64("serial", result.Serial),
				slog.Int("failures", count),
				slog.Duration("after", time.Since(since)))
		}
	}
}

// failed logs a failure. It does not log a suppressed issuance: the Source was
// in cooldown when the issuance was to begin, and the cause is logged already.
func (l *Logger) failed(ctx context.Context, account tokensource.Account, err error, attributes []slog.Attr) {
	if e := sourceError(err); e != nil && e.Suppressed {
		return
	}
	name, _ := errorType(err)
	kind := tokensource.ErrorKind(name)
	level, message := slog.LevelDebug, "token issuance is still failing"
	switch l.failures.add(account, kind) {
	case failureBegins:
		level, message = levelOf(kind), "token issuance is failing"
	case failureFlaps:
		level, message = slog.LevelWarn, "token issuance is flapping"
	}
	l.log.LogAttrs(ctx, level, message, append(attributes, describeError(err)...)...)
}

// levelOf returns the level of a failure: ERROR if an operator has to repair
// the cause.
func levelOf(kind tokensource.ErrorKind) slog.Level {
	switch kind {
	case tokensource.ErrCredentialsRejected, tokensource.ErrAccountMismatch, tokensource.ErrMalformedResponse,
		tokensource.ErrMisconfigured, tokensource.ErrIssuerPanic:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// describeError returns the attributes of an error. The text of a
// [tokensource.Error] is safe to log. The text of another error is not.
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
		return ctx, nil // The 401 is a business answer.
	}
	return ctx, func(result transport.RefusedResult) {
		attributes := []slog.Attr{
			slog.String("scope", info.Account.String()),
			slog.Uint64("refused_serial", info.Serial),
			slog.String("outcome", outcome(info, result).Value.AsString()),
		}
		if result.Serial != 0 {
			attributes = append(attributes, slog.Uint64("serial", result.Serial))
		}
		attributes = append(attributes, describeError(result.Err)...)
		l.refusalEnded(ctx, info, result, attributes)
	}
}

// refusalEnded logs the line for a 401.
func (l *Logger) refusalEnded(ctx context.Context, info transport.RefusedInfo, result transport.RefusedResult, attributes []slog.Attr) {
	level, message, tokens := slog.LevelWarn, "refused token not replaced", &l.notRenewed
	_, failed := errorType(result.Err)
	switch {
	case info.Verdict == transport.Unrecognized:
		message, tokens = "401 not recognized", &l.unrecognized
	case result.Outcome == transport.OutcomeReplayed:
		level, message, tokens = slog.LevelInfo, "refused token replaced", &l.replaced
	case info.Replayed:
		tokens = &l.refusedAgain
	case result.Err != nil && !failed:
		return // The caller has left.
	}
	if !tokens.add(info.Serial) {
		return
	}
	if level == slog.LevelWarn && !tokens.event.Begin() {
		level = slog.LevelDebug
	}
	l.log.LogAttrs(ctx, level, message, attributes...)
}
