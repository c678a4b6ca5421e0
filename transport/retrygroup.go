package transport

import (
	"context"
	"sync/atomic"

	"github.com/pismoauth/pismoauth/tokensource"
)

// RetryGroup makes one request of several that are handed to a [Transport] one
// after the other: the attempts of a layer above that retries by itself, such
// as the load balancer of a proxy. Of all of them, one at the most is replayed
// after a 401; without it, each would be. It also keeps the verdict on the latest
// one's 401, see [RetryGroup.Verdict].
//
// The zero RetryGroup is ready for use, for one request. See
// [ContextWithRetryGroup].
type RetryGroup struct {
	replayed atomic.Bool
	last     atomic.Pointer[Verdict]
	token    atomic.Pointer[tokensource.Token]
}

type retryGroupKey struct{}

// ContextWithRetryGroup returns a copy of ctx that carries attempts. The requests
// made with it are attempts at one and the same.
func ContextWithRetryGroup(ctx context.Context, attempts *RetryGroup) context.Context {
	return context.WithValue(ctx, retryGroupKey{}, attempts)
}

// retryGroupFrom returns the RetryGroup that ctx carries, or nil.
func retryGroupFrom(ctx context.Context) *RetryGroup {
	attempts, _ := ctx.Value(retryGroupKey{}).(*RetryGroup)
	return attempts
}

// isReplayed reports whether one of the attempts was replayed.
func (a *RetryGroup) isReplayed() bool { return a != nil && a.replayed.Load() }

// markReplayed notes that one of the attempts is replayed.
func (a *RetryGroup) markReplayed() {
	if a != nil {
		a.replayed.Store(true)
	}
}

// storeVerdict notes the verdict on a 401 that one of the attempts got.
func (a *RetryGroup) storeVerdict(verdict Verdict) {
	if a != nil {
		a.last.Store(&verdict)
	}
}

// Verdict returns the verdict on the 401 with which the latest attempt ended, and
// whether it ended so. It is for those who do not see the response, such as the
// callers of a generated client, or who see one that another layer has made; for
// all others there is [VerdictOf]. Call it when the request is done.
func (a *RetryGroup) Verdict() (Verdict, bool) {
	if a == nil {
		return "", false
	}
	if last := a.last.Load(); last != nil {
		return *last, true
	}
	return "", false
}

// begin notes that an attempt begins, of which there is no verdict yet.
func (a *RetryGroup) begin() {
	if a != nil {
		a.last.Store(nil)
	}
}

// lastToken returns the token that an earlier attempt was sent with, or nil.
func (a *RetryGroup) lastToken() *tokensource.Token {
	if a == nil {
		return nil
	}
	return a.token.Load()
}

// storeToken notes the token that an attempt is sent with.
func (a *RetryGroup) storeToken(token *tokensource.Token) {
	if a != nil {
		a.token.Store(token)
	}
}
