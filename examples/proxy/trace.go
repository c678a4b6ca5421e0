// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// A span is a step of a request.
type span struct {
	Name   string  `json:"name"`
	Detail string  `json:"detail"`
	At     float64 `json:"at"`   // in milliseconds after the request began
	Took   float64 `json:"took"` // in milliseconds
	// Issuance is the number of the issuance that the step waited for, or 0.
	Issuance uint64  `json:"issuance"`
	Spans    []*span `json:"spans"`
}

// A shownTrace is a request on the page.
type shownTrace struct {
	Name    string  `json:"name"`
	User    string  `json:"user"`
	Outcome string  `json:"outcome"`
	Status  int     `json:"status"`
	Took    float64 `json:"took"` // in milliseconds
	Spans   []*span `json:"spans"`
	// Alike is the number of other requests with the same steps.
	Alike int `json:"alike"`
}

// A trace is a request with its steps.
type trace struct {
	shownTrace

	began time.Time
	burst *burst // the request's burst, or nil

	mu       sync.Mutex // guards Spans until the request has ended
	ended    bool
	attempts int
	issuance uint64 // the last issuance that the request waited for
	replayed bool
	lost     bool // the caller gets a 401 about the token
}

type traceKey struct{}

// traceFrom returns the trace of a request. Without a trace it returns a new
// one that is not shown.
func traceFrom(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return &trace{began: time.Now()}
}

// add adds a step that begins now. The returned function ends the step.
func (t *trace) add(s *span) func(detail string) {
	began := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return func(string) {}
	}
	s.At = milliseconds(began.Sub(t.began))
	if s.Issuance != 0 {
		t.issuance = s.Issuance
	}
	t.Spans = append(t.Spans, s)
	return func(detail string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.ended {
			return // The trace is already shown.
		}
		s.Took = milliseconds(time.Since(began))
		s.Detail = detail
	}
}

// of names the user of a request.
func (t *trace) of(user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.User = user
	}
}

// sent reports whether the request was sent to the platform.
func (t *trace) sent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.attempts > 0
}

// acquire is the hook of a call of Token.
func (m *monitor) acquire(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
	t := traceFrom(ctx)
	t.of(m.users[info.Account.ID()])
	if info.Repeated {
		return ctx, nil
	}
	done := t.add(&span{Name: "token", Issuance: info.Issuance})
	return ctx, func(result tokensource.AcquireResult) {
		done(string(info.Origin) + serialOrError(result.Serial, result.Err))
	}
}

// renew is the hook of a renewal.
func (m *monitor) renew(ctx context.Context, info tokensource.RenewInfo) (context.Context, func(tokensource.RenewResult)) {
	done := traceFrom(ctx).add(&span{Name: "renewal", Issuance: info.Issuance})
	return ctx, func(result tokensource.RenewResult) {
		done(string(info.Outcome) + serialOrError(result.Serial, result.Err))
	}
}

// refused is the hook of a 401.
func (m *monitor) refused(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
	t := traceFrom(ctx)
	done := t.add(&span{Name: "401 classified"})
	return ctx, func(result transport.RefusedResult) {
		done(fmt.Sprintf("%s: %s", info.Verdict, result.Outcome))
		t.mu.Lock()
		defer t.mu.Unlock()
		switch result.Outcome {
		case transport.OutcomeReplayed:
			t.replayed = true
		case transport.OutcomePassed:
		default:
			t.lost = true
		}
	}
}

// attempt records that a request is sent to the platform. The returned function
// records the answer. The parameter first is true for the first attempt of the
// request.
func (t *trace) attempt() (first bool, done func(*http.Response, error)) {
	t.mu.Lock()
	t.attempts++
	n := t.attempts
	t.mu.Unlock()
	end := t.add(&span{Name: fmt.Sprintf("attempt %d", n)})
	return n == 1, func(resp *http.Response, err error) {
		if err != nil {
			end("no answer")
			return
		}
		end(fmt.Sprintf("status %d", resp.StatusCode))
	}
}

// end ends the trace with the status that the caller gets.
func (t *trace) end(now time.Time, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.Status = status
	t.Took = milliseconds(now.Sub(t.began))
	switch {
	case t.lost || status >= http.StatusInternalServerError:
		t.Outcome = outcomeFailed
	case status >= http.StatusBadRequest:
		t.Outcome = outcomeAnswered
	case t.replayed:
		t.Outcome = outcomeReplayed
	default:
		t.Outcome = outcomeServed
	}
	t.Spans = nest(t.Spans)
}

// nest puts each renewal below the 401 that caused it.
func nest(spans []*span) []*span {
	var nested []*span
	for _, s := range spans {
		if n := len(nested); n > 0 && s.Name == "renewal" && nested[n-1].Name == "401 classified" {
			nested[n-1].Spans = append(nested[n-1].Spans, s)
			continue
		}
		nested = append(nested, s)
	}
	return nested
}

// special reports whether the request is not ordinary.
func (t *trace) special() bool { return t.Outcome != outcomeServed || t.issuance != 0 }

// like reports whether another request had the same steps. Only traces of
// requests that share an issuance form a group.
func (t *trace) like(other *trace) bool {
	return t.burst != nil && t.burst == other.burst && t.Outcome == other.Outcome && t.User == other.User
}

func serialOrError(serial uint64, err error) string {
	if err != nil {
		return ", " + errorKind(err)
	}
	return fmt.Sprintf(", serial %d", serial)
}

// errorKind returns the kind of an error, because the text is too long for the
// page.
func errorKind(err error) string {
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return string(e.Kind)
	}
	return "error"
}
