// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/internal/recurring"
	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	// recoveryTime is how long issuances must succeed until a failure begins a
	// new outage. A failure before belongs to an endpoint that is flapping.
	recoveryTime = time.Minute
	// maxSeries is the maximum number of failing accounts in failures.
	maxSeries = 1024
)

// failures remembers which issuances fail, to find out whether a failure is a
// change. The zero value has no failures. Its methods may be called
// concurrently.
type failures struct {
	mu sync.Mutex
	// series has a series for each account. The failures that affect every
	// account are one series, with the zero Account.
	series map[tokensource.Account]*failureSeries
	// rejected and mismatched are the failures of any account. Lines do not
	// name accounts, so a second line would say nothing new, and requests for
	// invented accounts could flood the log.
	rejected, mismatched recurring.Event
}

// A failureSeries is the failures since issuances last succeeded for
// recoveryTime.
type failureSeries struct {
	since, last time.Time
	ended       time.Time // zero while the series lasts
	count       int
	kinds       []tokensource.ErrorKind // of the failures so far
	flapping    bool
	logged      bool // above the level DEBUG
}

// A failureChange says how a failure changes its series.
type failureChange int

const (
	failureContinues failureChange = iota
	failureBegins
	failureFlaps // the series is flapping from now on
)

// isGlobal reports whether a failure of this kind affects every account.
func isGlobal(kind tokensource.ErrorKind) bool {
	return kind != tokensource.ErrAccountRejected && kind != tokensource.ErrAccountMismatch
}

// add adds a failure, and returns how it changes its series.
func (f *failures) add(account tokensource.Account, kind tokensource.ErrorKind) failureChange {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if isGlobal(kind) {
		account = tokensource.Account{}
	}
	change := failureContinues
	s := f.series[account]
	switch {
	case s == nil || !s.ended.IsZero() && now.Sub(s.ended) >= recoveryTime:
		s = f.begin(account, now)
	case !s.ended.IsZero():
		if s.ended = (time.Time{}); !s.flapping {
			s.flapping, change = true, failureFlaps
		}
	}
	if !slices.Contains(s.kinds, kind) {
		s.kinds, change = append(s.kinds, kind), failureBegins
	}
	if f.isKnown(kind) {
		change = failureContinues
	}
	s.last = now
	s.count++
	s.logged = s.logged || change != failureContinues
	return change
}

// isKnown records a failure, and reports whether another account has failed in
// the same way in the last minutes. It returns false for failures that affect
// every account.
func (f *failures) isKnown(kind tokensource.ErrorKind) bool {
	switch kind {
	case tokensource.ErrAccountRejected:
		return !f.rejected.Begin()
	case tokensource.ErrAccountMismatch:
		return !f.mismatched.Begin()
	}
	return false
}

// begin begins a series. It drops the series of another account if there are
// maxSeries.
func (f *failures) begin(account tokensource.Account, now time.Time) *failureSeries {
	if f.series == nil {
		f.series = map[tokensource.Account]*failureSeries{}
	}
	if len(f.series) >= maxSeries {
		for other := range f.series {
			if other != (tokensource.Account{}) {
				delete(f.series, other)
				break
			}
		}
	}
	s := &failureSeries{since: now}
	f.series[account] = s
	return s
}

// end ends the series of an account whose issuance has succeeded, and the
// series of all accounts. It returns the number of failures in the ended series
// that were logged, and the beginning of the first. A series that is flapping
// ends only when recoveryTime has passed since its last failure.
func (f *failures) end(account tokensource.Account) (count int, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, key := range []tokensource.Account{{}, account} {
		s := f.series[key]
		if s == nil || !s.ended.IsZero() || s.flapping && now.Sub(s.last) < recoveryTime {
			continue
		}
		s.ended = now
		if !s.logged {
			continue
		}
		count += s.count
		if since.IsZero() || s.since.Before(since) {
			since = s.since
		}
	}
	return count, since
}
