// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// newFleetLog returns a program that is a process of a fleet, and its log.
func newFleetLog(t *testing.T, store *fleettest.Memory) *logFixture {
	t.Helper()
	pismo := passporttest.NewInProcess(t, passporttest.Config{})
	l := &logFixture{newFixture(t, pismo, pismo.RoundTripper()), new(logBuffer)}
	logger := telemetry.NewLogger(slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelInfo})))
	l.fleetHooks = logger.FleetHooks()
	l.joinFleet(store)
	return l
}

// issue makes the program issue tokens.
func (l *logFixture) issue(n int) {
	for range n {
		l.source.Invalidate(l.account)
		l.want(l.read("request"), http.StatusOK)
	}
}

func TestLogger_TellsThatTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(fleettest.Memory)
		l := newFleetLog(t, store)
		l.issue(3)
		l.wantLines("a healthy store", l.log.read())

		store.SetFault(fleettest.Fail(tokensource.SafeError("the server answers READONLY", errors.New(sentinelBody))))
		l.issue(5)
		l.wantLines("a store that fails", l.log.read("failures", "error"),
			`WARN "token store is failing" failures=5 error="fleet: the store failed: claim: the server answers READONLY"`)

		store.SetFault(nil)
		time.Sleep(time.Minute)
		l.issue(2)
		l.wantLines("a store that is back", l.log.read("failures", "after"), `INFO "token store recovered" failures=5 after=1m0s`)

		for range 3 { // It fails again and again.
			store.SetFault(fleettest.Fail(errors.New(sentinelBody)))
			l.issue(5)
			store.SetFault(nil)
			time.Sleep(time.Minute)
			l.issue(2)
		}
		l.wantLines("a store that flaps", l.log.read())

		time.Sleep(time.Hour)
		l.fleetHooks.Poisoned(t.Context())
		l.fleetHooks.Poisoned(t.Context())
		l.wantLines("two poisoned values", l.log.read(), `WARN "token store value not used"`)
	})
}

// A key that cannot be read is not a failure of the store, but has the same
// effect.
func TestLogger_TellsThatTheKeyIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFleetLog(t, new(fleettest.Memory))
		_, done := l.fleetHooks.Operation(t.Context(), fleet.OpKey)
		failure := tokensource.SafeError("fleet: the key cannot be used: it is shorter than 16 bytes", nil)
		done(fleet.OperationResult{Outcome: fleet.OutcomeFailed, Err: failure})
		done(fleet.OperationResult{Outcome: fleet.OutcomeFailed, Err: failure})
		l.wantLines("a key that cannot be read", l.log.read("error"),
			`WARN "token store is failing" error="fleet: the key cannot be used: it is shorter than 16 bytes"`)
	})
}

func TestLogger_ZeroLoggerHasNoFleetHooks(t *testing.T) {
	for _, logger := range []*telemetry.Logger{nil, {}, telemetry.NewLogger(nil)} {
		if hooks := logger.FleetHooks(); hooks.Operation != nil || hooks.Poisoned != nil {
			t.Error("a Logger without a log has hooks")
		}
	}
}
