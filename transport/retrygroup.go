// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"sync/atomic"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A RetryGroup treats several requests to a [Transport], sent one after the
// other, as attempts of one request. It is for a layer above the Transport that
// retries by itself, such as the load balancer of a proxy. At most one attempt
// of the group is replayed after a 401. Without a RetryGroup each attempt could
// be replayed. A RetryGroup also keeps the verdict on the latest attempt, see
// [RetryGroup.Verdict].
//
// The zero RetryGroup is ready for use. Use one RetryGroup for one request. See
// [ContextWithRetryGroup].
type RetryGroup struct {
	replayed atomic.Bool
	last     atomic.Pointer[Verdict]
	token    atomic.Pointer[tokensource.Token]
}

type retryGroupKey struct{}

// ContextWithRetryGroup returns a copy of ctx that carries attempts. The
// requests made with this context are attempts of one request.
func ContextWithRetryGroup(ctx context.Context, attempts *RetryGroup) context.Context {
	return context.WithValue(ctx, retryGroupKey{}, attempts)
}

// retryGroupFrom returns the RetryGroup that ctx carries, or nil.
func retryGroupFrom(ctx context.Context) *RetryGroup {
	attempts, _ := ctx.Value(retryGroupKey{}).(*RetryGroup)
	return attempts
}

// isReplayed reports whether an attempt was replayed.
func (a *RetryGroup) isReplayed() bool { return a != nil && a.replayed.Load() }

// markReplayed records that an attempt is replayed.
func (a *RetryGroup) markReplayed() {
	if a != nil {
		a.replayed.Store(true)
	}
}

// storeVerdict records the verdict on the 401 of an attempt.
func (a *RetryGroup) storeVerdict(verdict Verdict) {
	if a != nil {
		a.last.Store(&verdict)
	}
}

// Verdict returns the verdict on the 401 of the latest attempt, and whether
// that attempt ended with a 401. It is for callers that do not see the
// response, such as the callers of a generated client, or that see a response
// made by another layer. Other callers use [VerdictOf]. Call Verdict when the
// request is done.
func (a *RetryGroup) Verdict() (Verdict, bool) {
	if a == nil {
		return "", false
	}
	if last := a.last.Load(); last != nil {
		return *last, true
	}
	return "", false
}

// begin records the beginning of an attempt, which has no verdict yet.
func (a *RetryGroup) begin() {
	if a != nil {
		a.last.Store(nil)
	}
}

// lastToken returns the token of an earlier attempt, or nil.
func (a *RetryGroup) lastToken() *tokensource.Token {
	if a == nil {
		return nil
	}
	return a.token.Load()
}

// storeToken records the token of an attempt.
func (a *RetryGroup) storeToken(token *tokensource.Token) {
	if a != nil {
		a.token.Store(token)
	}
}
