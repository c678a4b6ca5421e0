package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// figures count what happened in the proxy.
type figures struct {
	issuances, replays, passed atomic.Int64
}

// events are the hooks that log and count what happens.
type events struct {
	source    tokensource.Hooks
	transport transport.Hooks
}

func observe(log *slog.Logger, count *figures) events {
	logger := telemetry.NewLogger(log)
	return events{
		source:    tokensource.JoinHooks(logger.SourceHooks(), tokensource.Hooks{Issue: count.issue}),
		transport: transport.JoinHooks(logger.TransportHooks(), transport.Hooks{Refused: count.refused}),
	}
}

func (f *figures) issue(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	return issue, func(result tokensource.IssueResult) {
		if result.Err == nil {
			f.issuances.Add(1)
		}
	}
}

func (f *figures) refused(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
	return ctx, func(result transport.RefusedResult) {
		if result.Outcome == transport.OutcomeReplayed {
			f.replays.Add(1)
		} else {
			f.passed.Add(1)
		}
	}
}

// newLogger returns a logger for people: the time of day, and no more than a
// line an event.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug, // Shows each token; no request has a line of its own.
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
			}
			return a
		},
	}))
}
