package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	// calm is how long issuances have to work until a failure is another one,
	// and not the same endpoint that fails on and off.
	calm = time.Minute
	// silence is how long no account has to be rejected until one that is gets
	// another line. Lines do not name accounts: a second one would say nothing
	// new, and whoever makes accounts up could flood the log.
	silence = 10 * time.Minute
	// maxFailing is how many failing accounts are remembered.
	maxFailing = 1024
)

// failures remember which issuances fail, so that a change can be told from
// more of the same. The zero failures remember none. They are safe for
// concurrent use.
type failures struct {
	mu sync.Mutex
	// series are by account. Failures that concern every account are one
	// series, under the zero Account.
	series       map[tokensource.Account]*failureSeries
	lastRejected time.Time // of any account
}

// A failureSeries is what has failed since issuances last worked, apart from
// single successes in between.
type failureSeries struct {
	since, last time.Time
	ended       time.Time // zero while it lasts
	count       int
	kinds       []tokensource.ErrorKind // that were news
	flapping    bool
	logged      bool // more than for debugging
}

// A failureNews says what a failure adds to what was known.
type failureNews int

const (
	failureKnown failureNews = iota
	failureBegins
	failureFlaps // for the first time in its series
)

// concernsAll reports whether a failure for one account is one of every
// account's.
func concernsAll(kind tokensource.ErrorKind) bool {
	return kind != tokensource.ErrAccountRejected && kind != tokensource.ErrAccountMismatch
}

// add notes a failure.
func (f *failures) add(account tokensource.Account, kind tokensource.ErrorKind) failureNews {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if concernsAll(kind) {
		account = tokensource.Account{}
	}
	news := failureKnown
	s := f.series[account]
	switch {
	case s == nil || !s.ended.IsZero() && now.Sub(s.ended) >= calm:
		s = f.begin(account, now)
	case !s.ended.IsZero():
		if s.ended = (time.Time{}); !s.flapping {
			s.flapping, news = true, failureFlaps
		}
	}
	if !slices.Contains(s.kinds, kind) {
		s.kinds, news = append(s.kinds, kind), failureBegins
	}
	if !concernsAll(kind) {
		if now.Sub(f.lastRejected) < silence {
			news = failureKnown
		}
		f.lastRejected = now
	}
	s.last = now
	s.count++
	s.logged = s.logged || news != failureKnown
	return news
}

// begin begins a series, in the place of another if there are too many.
func (f *failures) begin(account tokensource.Account, now time.Time) *failureSeries {
	if f.series == nil {
		f.series = map[tokensource.Account]*failureSeries{}
	}
	if len(f.series) >= maxFailing {
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

// end notes that an issuance worked. It returns how many failures that ends,
// and when they began; 0 if it ends none that were logged. An endpoint that
// fails on and off has recovered only when it has not failed for a while.
func (f *failures) end(account tokensource.Account) (count int, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, key := range []tokensource.Account{{}, account} {
		s := f.series[key]
		if s == nil || !s.ended.IsZero() || s.flapping && now.Sub(s.last) < calm {
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
