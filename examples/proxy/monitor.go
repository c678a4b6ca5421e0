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

	// ordinaryInterval is the time between two shown traces of requests that
	// nothing happened to. The next takes the place of the last: it must not
	// push out those with something to see.
	ordinaryInterval = 3 * time.Second
)

// outcomes count requests by what came of them.
type outcomes struct {
	Served   int `json:"served"`   // with the first token
	Healed   int `json:"healed"`   // after a 401, with another token
	Answered int `json:"answered"` // refused by the platform's business or by the proxy's own login
	Failed   int `json:"failed"`   // an error that the caller sees
}

func (o *outcomes) add(outcome string) {
	switch outcome {
	case outcomeServed:
		o.Served++
	case outcomeHealed:
		o.Healed++
	case outcomeAnswered:
		o.Answered++
	default:
		o.Failed++
	}
}

// The outcomes of a request.
const (
	outcomeServed   = "served"
	outcomeHealed   = "healed"
	outcomeAnswered = "answered"
	outcomeFailed   = "failed"
)

// An issuanceRecord is what the page shows of an issuance. It has the serial of
// the token, and never the token.
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

// A tokenRecord is what the page shows of the token of an account.
type tokenRecord struct {
	serial   uint64
	issued   time.Time
	lifetime time.Duration
}

func (t tokenRecord) left(now time.Time) time.Duration {
	return max(0, t.lifetime-now.Sub(t.issued))
}

// A monitor keeps what hooks tell, in bounds. It is safe for concurrent use.
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

// ended counts a request and keeps its trace, if that is one to show.
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

// token returns what is known of the token of a user.
func (m *monitor) token(user string) (tokenRecord, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	token, ok := m.tokens[user]
	return token, ok
}

// prepend returns list with a new first element, and at most limit in all.
func prepend[T any](list []T, first T, limit int) []T {
	list = append([]T{first}, list...)
	return list[:min(len(list), limit)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
