package middleware

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A failureLog logs when a kind of failure begins and when it is over. It has
// no timers: a failure is over when, quietPeriod after the last request that
// failed so, another request comes and does not. So a failure that comes and
// goes makes no more than two lines in that time.
type failureLog struct {
	logger *slog.Logger // nil: the default one of the moment

	failing atomic.Int32 // how many episodes there are, for requests that pass
	mu      sync.Mutex
	episode map[failure]*episode
}

const (
	quietPeriod = time.Minute
	// maxEpisodes bounds what is remembered. The texts of failures do not
	// depend on requests, so that there are few.
	maxEpisodes = 64
)

// A failure is what makes one failure the same as another: its kind and, if the
// program is to change, what. What else is told of it differs with each
// request.
type failure struct{ kind, fault string }

// An episode is the time in which requests fail for the same reason.
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

// requestFailed notes that a request was answered for err. What is its client's own
// failure is not noted.
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
		level = slog.LevelError // Somebody has to mend it.
	}
	f, text := describe(err)
	l.note(ctx, level, f, text, attributes...)
}

// Write notes that a response of the upstream broke off, which is all that
// httputil.ReverseProxy logs here. It implements [io.Writer], for a log.Logger.
func (l *failureLog) Write(line []byte) (int, error) {
	f := failure{kind: upstreamBrokeOff.ErrorType()}
	l.note(context.Background(), slog.LevelWarn, f, upstreamBrokeOff.Error())
	return len(line), nil
}

// note notes a failure, and logs it if it is a new one.
func (l *failureLog) note(ctx context.Context, level slog.Level, f failure, text string, more ...slog.Attr) {
	if l.begin(f) {
		attributes := []slog.Attr{slog.String("error_type", f.kind), slog.String("error", text)}
		l.log(ctx, level, "requests fail", append(attributes, more...)...)
	}
}

// begin notes a failure, and reports whether it is a new one.
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

// requestPassed notes that a request has not failed.
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

// endedEpisodes returns the episodes that are over, and forgets them.
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

// describe returns what failure an error is, and a text that holds nothing of a
// request and no secret.
func describe(err error) (failure, string) {
	known := classify(err)
	kind, text := string(tokensource.ErrMisconfigured), known.Error()
	if token, ok := errors.AsType[*tokensource.Error](err); ok {
		kind, text = string(token.Kind), constantText(token)
	} else if upgrade, ok := errors.AsType[*upgradeError](err); ok {
		kind, text = upgradeUnsupported.ErrorType(), upgrade.Error()
	} else if named, ok := known.(interface{ ErrorType() string }); ok {
		kind = named.ErrorType()
		text += networkReason(err)
	}
	if kind != string(tokensource.ErrMisconfigured) {
		return failure{kind: kind}, text
	}
	if errors.Is(known, tokensource.ErrMisconfigured) {
		text = misconfiguration(err)
	}
	return failure{kind, text}, text
}

// misconfiguration returns what the program has to change.
func misconfiguration(err error) string {
	if token, ok := errors.AsType[*tokensource.Error](err); ok {
		return constantText(token)
	}
	if misuse, ok := errors.AsType[*misuseError](err); ok {
		return misuse.Error()
	}
	if unsent, ok := errors.AsType[transport.UnsentError](err); ok {
		return unsent.Error()
	}
	if fault, ok := errors.AsType[*tokensource.ConfigError](err); ok {
		return fault.Error()
	}
	return tokensource.ErrMisconfigured.Error()
}

// constantText returns the text of an error without how long to wait, which
// differs each time.
func constantText(err *tokensource.Error) string {
	constant := *err
	constant.RetryAfter = 0
	return constant.Error()
}

// networkReason returns the text of an error of the network, which is about
// names and addresses, with a colon before it; or "". Any other text may come
// from anywhere.
func networkReason(err error) string {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return ": " + lookup.Error()
	}
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		return ": " + operation.Error()
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ": " + certificate.Error()
	}
	return ""
}
