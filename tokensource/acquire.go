// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"time"
)

// Causes of ErrMisconfigured.
var (
	errZeroAccount = SafeError("the account is not set; use ParseAccountID, or Organization for the whole organization", nil)
	errOwnIssuer   = SafeError("the issuer's HTTP client asks this Source for a token; give the issuer a client without this Source", nil)
	errNoSuchToken = SafeError("the token to renew is nil or belongs to another Source; pass a token of this Source", nil)
)

// checkCall returns an error if account is the zero Account, or if the caller
// is the Source's own issuer. An issuer would wait for itself.
func (s *Source) checkCall(ctx context.Context, account Account) error {
	if account == (Account{}) {
		return NewError(ErrMisconfigured, errZeroAccount)
	}
	if ctx.Value(issuingKey{}) == s {
		return NewError(ErrMisconfigured, errOwnIssuer)
	}
	return nil
}

// A decision is what a caller of Token gets: a token, an issuance to wait for,
// or an error.
type decision struct {
	token    *Token
	issuance *issuance
	err      error
	origin   TokenOrigin

	// patience bounds the caller's wait for the issuance if the previous
	// token is still usable. 0 means no bound.
	patience time.Duration
}

// acquire implements [Source.Token] for a caller without a fresh token.
func (s *Source) acquire(ctx context.Context, account Account) (*Token, error) {
	if err := s.checkCall(ctx, account); err != nil {
		return nil, err
	}
	d := s.decide(ctx, account)
	if d.err != nil && s.revised(ctx) {
		d = s.decide(ctx, account)
	}
	number := d.issuance.numberOr(ctx, d.err)
	info := AcquireInfo{Account: account, Origin: d.origin, Issuance: number, Repeated: s.repeated(ctx, account)}
	ctx, done := observe(ctx, s.hooks.Acquire, info)
	t, err := d.token, d.err
	if d.issuance != nil {
		t, err = s.waitFor(ctx, d)
	}
	if done != nil {
		done(AcquireResult{Serial: t.serialOrZero(), Err: err})
	}
	return t, err
}

// decide returns what a caller of Token gets.
func (s *Source) decide(ctx context.Context, account Account) decision {
	now := s.now()
	e := s.entry(account, now)
	defer e.mu.Unlock()
	e.touch(now)

	if t := e.serving(now); t != nil {
		return s.serve(ctx, e, t, now)
	}
	if e.running != nil {
		return e.join(now)
	}
	if ctx.Err() != nil {
		return decision{err: callerError(ctx), origin: OriginSuppressed}
	}
	f, err := s.begin(ctx, e, e.reasonToIssue(now), e.newestRevoked(now), now)
	if err != nil {
		return decision{err: err, origin: OriginSuppressed}
	}
	return decision{issuance: f, origin: OriginIssued}
}

// serve returns the decision for an entry with a token in service. It starts
// the renewal of a stale token. The caller holds the entry's lock.
func (s *Source) serve(ctx context.Context, e *entry, t *Token, now instant) decision {
	if !t.stale().passed(now) {
		return decision{token: t, origin: OriginCached}
	}
	if e.running == nil && ctx.Err() == nil {
		// The error does not matter: the stale token is good enough.
		_, _ = s.begin(ctx, e, ReasonAhead, nil, now)
	}
	return decision{token: t, origin: OriginStale}
}

// waitFor waits for an issuance. If the wait exceeds the caller's patience, it
// returns the previous token to service. The issuance continues.
func (s *Source) waitFor(ctx context.Context, d decision) (*Token, error) {
	var patience <-chan time.Time
	if d.patience > 0 {
		timer := time.NewTimer(d.patience)
		defer timer.Stop()
		patience = timer.C
	}
	for {
		select {
		case <-d.issuance.done:
			return s.result(d.issuance)
		case <-ctx.Done():
			return nil, callerError(ctx)
		case <-patience:
			if t := s.resume(d.issuance.entry); t != nil {
				return t, nil
			}
		}
	}
}

// resume returns the newest token to service while its renewal continues. It
// returns nil if no token is usable.
func (s *Source) resume(e *entry) *Token {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.usable(s.now())
	e.serve(t)
	return t
}

// observe calls a hook if it is set.
func observe[I, R any](ctx context.Context, hook func(context.Context, I) (context.Context, func(R)), info I) (context.Context, func(R)) {
	if hook == nil {
		return ctx, nil
	}
	return hook(ctx, info)
}

// repeated reports whether ctx carries a token of this Source for account.
func (s *Source) repeated(ctx context.Context, account Account) bool {
	if ctx == nil {
		return false
	}
	t, _ := ForwardedTokenFromContext(ctx)
	return t != nil && t.source == s && t.account == account
}
