// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	shownSeconds   = 60
	shownIssuances = 12
	shownTraces    = 6

	// ordinaryInterval is the time between two kept traces of ordinary requests. A
	// new ordinary trace replaces the last one, so that ordinary traces do not
	// displace the others.
	ordinaryInterval = 3 * time.Second
)

// outcomes count requests by their outcome.
type outcomes struct {
	Served   int `json:"served"`   // with the first token
	Replayed int `json:"replayed"` // served with another token after a 401
	Answered int `json:"answered"` // refused by the platform's business or by the proxy's own login
	Failed   int `json:"failed"`   // an error that the caller sees
}

func (o *outcomes) add(outcome string) {
	switch outcome {
	case outcomeServed:
		o.Served++
	case outcomeReplayed:
		o.Replayed++
	case outcomeAnswered:
		o.Answered++
	default:
		o.Failed++
	}
}

// The outcomes of a request.
const (
	outcomeServed   = "served"
	outcomeReplayed = "replayed"
	outcomeAnswered = "answered"
	outcomeFailed   = "failed"
)

// An issuanceRecord is an issuance on the page. It has the serial of the token,
// and never the token.
type issuanceRecord struct {
	Number   uint64    `json:"number"`
	At       time.Time `json:"at"`
	User     string    `json:"user"`
	Reason   string    `json:"reason"`
	Running  bool      `json:"running"`
	Took     float64   `json:"took"` // in milliseconds
	Attempts int       `json:"attempts"`
	Serial   uint64    `json:"serial"`
	Error    string    `json:"error"`
}

// A tokenRecord is the token of an account on the page.
type tokenRecord struct {
	serial   uint64
	issued   time.Time
	lifetime time.Duration
}

func (t tokenRecord) left(now time.Time) time.Duration {
	return max(0, t.lifetime-now.Sub(t.issued))
}

// A monitor keeps a bounded number of events from the hooks. It is safe for
// concurrent use.
type monitor struct {
	users map[string]string // by account id

	mu        sync.Mutex
	seconds   map[int64]outcomes // by Unix time
	total     outcomes
	tokens    map[string]tokenRecord // by user
	issued    int
	issuances []*issuanceRecord // the newest first
	traces    []*trace          // the newest first
	ordinary  time.Time         // when the last ordinary trace was kept
}

func newMonitor(accounts map[string]string) *monitor {
	m := &monitor{users: map[string]string{}, seconds: map[int64]outcomes{}, tokens: map[string]tokenRecord{}}
	for user, account := range accounts {
		m.users[account] = user
	}
	return m
}

// issue is the hook of an issuance.
func (m *monitor) issue(issue, _ context.Context, info tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
	user := m.users[info.Account.ID()]
	record := &issuanceRecord{Number: info.Issuance, At: time.Now(), User: user, Reason: string(info.Reason), Running: true}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.issuances = prepend(m.issuances, record, shownIssuances)
	return issue, func(result tokensource.IssueResult) {
		m.mu.Lock()
		defer m.mu.Unlock()
		record.Running = false
		record.Took = milliseconds(time.Since(record.At))
		record.Attempts = result.Attempts
		if result.Err != nil {
			record.Error = errorKind(result.Err)
			return
		}
		m.issued++
		record.Serial = result.Serial
		m.tokens[user] = tokenRecord{result.Serial, record.At, result.Lifetime}
	}
}

// ended counts a request, and keeps its trace if the page shows it.
func (m *monitor) ended(t *trace, status int) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	t.end(now, status)
	second := m.seconds[now.Unix()]
	second.add(t.Outcome)
	m.seconds[now.Unix()] = second
	for s := range m.seconds {
		if s < now.Unix()-shownSeconds {
			delete(m.seconds, s)
		}
	}
	m.total.add(t.Outcome)
	if !t.special() {
		if now.Sub(m.ordinary) < ordinaryInterval {
			return
		}
		m.ordinary = now
		m.traces = slices.DeleteFunc(m.traces, func(t *trace) bool { return !t.special() })
	}
	for _, shown := range m.traces {
		if shown.like(t) {
			shown.Alike++
			return
		}
	}
	m.traces = prepend(m.traces, t, shownTraces)
}

// token returns the known data of a user's token.
func (m *monitor) token(user string) (tokenRecord, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	token, ok := m.tokens[user]
	return token, ok
}

// prepend returns list with a new first element, cut to limit elements.
func prepend[T any](list []T, first T, limit int) []T {
	list = append([]T{first}, list...)
	return list[:min(len(list), limit)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
