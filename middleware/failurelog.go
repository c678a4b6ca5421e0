// SPDX-License-Identifier: Apache-2.0

package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A failureLog logs when a kind of failure begins and when it is over. A
// failure is over when a request passes at least quietPeriod after the last
// request that failed in that way. So an intermittent failure makes at most two
// lines in each quietPeriod. A failureLog has no timers.
type failureLog struct {
	logger *slog.Logger // nil means the current slog.Default()

	failing atomic.Int32 // len(episode), for reading without the lock
	mu      sync.Mutex
	episode map[failure]*episode
}

const (
	quietPeriod = time.Minute
	// maxEpisodes bounds the memory for episodes. The texts of failures do not
	// depend on requests, so that few episodes exist.
	maxEpisodes = 64
)

// A failure identifies an episode: its kind and, if the program has to change,
// the fault. The other attributes of a log line differ with each request.
type failure struct{ kind, fault string }

// An episode is a time in which requests fail for the same reason.
type episode struct {
	since, last time.Time
	count       int
}

func newFailureLog(logger *slog.Logger) *failureLog {
	return &failureLog{logger: logger, episode: map[failure]*episode{}}
}

func (l *failureLog) log(ctx context.Context, level slog.Level, message string, attributes ...slog.Attr) {
	logger := l.logger
	if logger == nil {
		logger = slog.Default() //nolint:forbidigo // Failures are logged by default; see Config.Logger.
	}
	logger.LogAttrs(ctx, level, message, attributes...)
}

// requestFailed records a request that was answered because of err. It ignores
// failures that are the client's own.
func (l *failureLog) requestFailed(ctx context.Context, err error) {
	problem := ProblemOf(err)
	if problem.Status < http.StatusInternalServerError || errors.Is(err, ErrMethodNotProxied) {
		return
	}
	attributes := []slog.Attr{slog.Int("answered", problem.Status)}
	if token, ok := errors.AsType[*tokensource.Error](err); ok && token.CorrelationID != "" {
		attributes = append(attributes, slog.String("correlation_id", token.CorrelationID))
	}
	level := slog.LevelWarn
	if problem.Status == http.StatusInternalServerError || errors.Is(err, tokensource.ErrCredentialsRejected) {
		level = slog.LevelError // The failure lasts until somebody changes something.
	}
	f, text := describe(err)
	l.record(ctx, level, f, text, attributes...)
}

// Write records that a response of the upstream broke off.
// httputil.ReverseProxy logs nothing else here. Write implements [io.Writer],
// for a log.Logger.
func (l *failureLog) Write(line []byte) (int, error) {
	f := failure{kind: upstreamBrokeOff.ErrorType()}
	l.record(context.Background(), slog.LevelWarn, f, upstreamBrokeOff.Error())
	return len(line), nil
}

// record counts a failure, and logs it if it begins an episode.
func (l *failureLog) record(ctx context.Context, level slog.Level, f failure, text string, more ...slog.Attr) {
	if l.begin(f) {
		attributes := []slog.Attr{slog.String("error_type", f.kind), slog.String("error", text)}
		l.log(ctx, level, "requests fail", append(attributes, more...)...)
	}
}

// begin counts a failure, and reports whether it begins an episode.
func (l *failureLog) begin(f failure) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.episode) >= maxEpisodes && l.episode[f] == nil {
		f.fault = ""
	}
	e := l.episode[f]
	if e == nil {
		l.episode[f] = &episode{since: now, last: now, count: 1}
		l.failing.Add(1)
		return true
	}
	e.last = now
	e.count++
	return false
}

// requestPassed records a request that has not failed. It logs the episodes
// that are over.
func (l *failureLog) requestPassed(ctx context.Context) {
	if l.failing.Load() == 0 {
		return
	}
	for f, e := range l.endedEpisodes() {
		attributes := []slog.Attr{slog.String("error_type", f.kind)}
		if f.fault != "" {
			attributes = append(attributes, slog.String("error", f.fault))
		}
		l.log(ctx, slog.LevelInfo, "requests no longer fail", append(attributes,
			slog.Int("failures", e.count), slog.Duration("lasted", e.last.Sub(e.since)))...)
	}
}

// endedEpisodes removes the episodes that are over, and returns them.
func (l *failureLog) endedEpisodes() map[failure]*episode {
	now := time.Now()
	ended := map[failure]*episode{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for f, e := range l.episode {
		if now.Sub(e.last) >= quietPeriod {
			ended[f] = e
			delete(l.episode, f)
			l.failing.Add(-1)
		}
	}
	return ended
}
