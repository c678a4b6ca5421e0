// SPDX-License-Identifier: Apache-2.0

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

// An eventCounters counts events of the proxy.
type eventCounters struct {
	issuances, replays, passed atomic.Int64
}

// An events has the hooks that log and count events.
type events struct {
	source    tokensource.Hooks
	transport transport.Hooks
}

func newEvents(log *slog.Logger, count *eventCounters) events {
	logger := telemetry.NewLogger(log)
	return events{
		source:    tokensource.JoinHooks(logger.SourceHooks(), tokensource.Hooks{Issue: count.issue}),
		transport: transport.JoinHooks(logger.TransportHooks(), transport.Hooks{Refused: count.refused}),
	}
}

func (c *eventCounters) issue(issue, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	return issue, func(result tokensource.IssueResult) {
		if result.Err == nil {
			c.issuances.Add(1)
		}
	}
}

func (c *eventCounters) refused(ctx context.Context, _ transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
	return ctx, func(result transport.RefusedResult) {
		if result.Outcome == transport.OutcomeReplayed {
			c.replays.Add(1)
		} else {
			c.passed.Add(1)
		}
	}
}

// newLogger returns a logger for people. A line begins with the time of day.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug, // One line for each token. Requests are not logged.
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
			}
			return a
		},
	}))
}
