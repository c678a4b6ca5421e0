// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/internal/recurring"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// FleetHooks returns the hooks for [fleet.Config].
func (l *Logger) FleetHooks() fleet.Hooks {
	if l == nil || l.log == nil {
		return fleet.Hooks{}
	}
	return fleet.Hooks{Operation: l.operation, Poisoned: l.poisoned}
}

// A storeState is what a Logger remembers of a fleet's store.
type storeState struct {
	mu       sync.Mutex
	since    time.Time // of the first failure in a row
	failures int       // in a row
	last     error
	away     bool // The process works without the store.
	logged   bool // above the level DEBUG

	event, poisoned recurring.Event
}

func (l *Logger) operation(ctx context.Context, op fleet.Operation) (context.Context, func(fleet.OperationResult)) {
	ctx = orBackground(ctx)
	return ctx, func(result fleet.OperationResult) {
		switch result.Outcome {
		case fleet.OutcomeCanceled: // It says nothing about the store.
		case fleet.OutcomeFailed:
			l.log.LogAttrs(ctx, slog.LevelDebug, "token store operation failed",
				slog.String("operation", string(op)), slog.String("error", result.Err.Error()))
			if l.store.fail(result.Err); op == fleet.OpKey {
				l.storeAway(ctx)
			}
		case fleet.OutcomeSkipped:
			l.storeAway(ctx)
		default:
			l.storeBack(ctx)
		}
	}
}

// storeAway logs that the process works without the store, once.
func (l *Logger) storeAway(ctx context.Context) {
	s := &l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return
	}
	level := slog.LevelDebug
	if s.logged = s.event.Begin(); s.logged {
		level = slog.LevelWarn
	}
	s.away = true
	attributes := []slog.Attr{slog.Int("failures", s.failures)}
	if s.last != nil {
		attributes = append(attributes, slog.String("error", s.last.Error()))
	}
	l.log.LogAttrs(ctx, level, "token store is failing", attributes...)
}

// storeBack logs that the process uses the store again.
func (l *Logger) storeBack(ctx context.Context) {
	s := &l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away && s.logged {
		l.log.LogAttrs(ctx, slog.LevelInfo, "token store recovered",
			slog.Int("failures", s.failures), slog.Duration("after", time.Since(s.since)))
	}
	s.failures, s.last, s.away, s.logged = 0, nil, false, false
}

// fail records a failure.
func (s *storeState) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures == 0 {
		s.since = time.Now()
	}
	s.failures++
	s.last = err
}

func (l *Logger) poisoned(ctx context.Context) {
	level := slog.LevelDebug
	if l.store.poisoned.Begin() {
		level = slog.LevelWarn
	}
	l.log.LogAttrs(orBackground(ctx), level, "token store value not used")
}
