package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

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
	return events{
		source: tokensource.Hooks{
			Acquire: func(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
				log.Debug("token taken", "from", info.Origin, "for", info.Account)
				return ctx, nil
			},
			Issue: func(issue, _ context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
				begin := time.Now()
				return issue, func(result tokensource.IssueResult) {
					if result.Err != nil {
						log.Warn("no token issued", "reason", info.Reason, "for", info.Account, "error", result.Err)
						return
					}
					count.issuances.Add(1)
					log.Info("token issued", "reason", info.Reason, "for", info.Account, "serial", result.Serial,
						"lives", result.Lifetime, "took", time.Since(begin).Round(time.Millisecond/10))
				}
			},
		},
		transport: transport.Hooks{
			Refused: func(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
				return ctx, func(result transport.RefusedResult) {
					switch result.Outcome {
					case transport.OutcomeReplayed:
						count.replays.Add(1)
					default:
						count.passed.Add(1)
					}
					log.Info("401 from the platform", "verdict", info.Verdict, "outcome", result.Outcome, "for", info.Account, "serial", info.Serial)
				}
			},
			Retry: func(_ context.Context, info transport.RetryInfo) {
				log.Info("retry", "attempt", info.Attempt, "wait", info.Wait, "status", info.StatusCode)
			},
		},
	}
}

// newLogger returns a logger for people: the time of day, and no more than a
// line an event.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
			}
			return a
		},
	}))
}
