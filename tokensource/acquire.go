package tokensource

import (
	"context"
	"errors"
)

// Renewals that refusals ask for draw on a budget per account: a burst, and
// one more with each renewalRefill-th part of the token's lifetime.
const (
	renewalBurst  = 3
	renewalRefill = 60
)

// The causes of ErrMisconfigured that are found here.
var (
	errZeroAccount = errors.New("the account is not set; use ParseAccountID, or Organization for the whole organization")
	errOwnIssuer   = errors.New("the issuer's own HTTP client asks this Source for a token; give it a client of its own")
	errNoSuchToken = errors.New("the token to renew is nil, or another Source's")
)

// admissible reports whether account can have a token, and the caller is not
// our own issuer, which would wait for itself.
func (s *Source) admissible(ctx context.Context, account Account) error {
	if account == (Account{}) {
		return NewError(ErrMisconfigured, errZeroAccount)
	}
	if ctx.Value(issuingKey{}) == s {
		return NewError(ErrMisconfigured, errOwnIssuer)
	}
	return nil
}

// acquire is [Source.Token] for a caller whom no fresh token awaits.
func (s *Source) acquire(ctx context.Context, account Account) (*Token, error) {
	if err := s.admissible(ctx, account); err != nil {
		return nil, err
	}
	t, f, origin, err := s.board(ctx, account)
	if err != nil && s.revised(ctx) {
		t, f, origin, err = s.board(ctx, account)
	}
	ctx, done := observe(ctx, s.hooks.Acquire, AcquireInfo{Account: account, Origin: origin, Issuance: f.announced(err), Repeated: s.repeated(ctx, account)})
	if f != nil {
		if err = f.wait(ctx); err == nil {
			t, err = f.usable(s.now())
		}
	}
	if done != nil {
		done(AcquireResult{Serial: t.serialOrZero(), Err: err})
	}
	return t, err
}

// board finds out what a caller of Token gets: a token that is there, an
// issuance to wait for, or an error.
func (s *Source) board(ctx context.Context, account Account) (*Token, *issuance, Origin, error) {
	now := s.now()
	l := s.lease(account, now)
	defer l.mu.Unlock()
	l.touch(now)

	t := l.current.Load()
	switch {
	case t != nil && !t.stale.passed(now):
		return t, nil, OriginCached, nil
	case t != nil && !t.dead.passed(now):
		if l.flight == nil {
			// If no renewal may begin now, the token serves on all the same.
			_, _ = s.begin(ctx, l, ReasonAhead, now)
		}
		return t, nil, OriginStale, nil
	case l.flight != nil:
		return nil, l.flight, OriginJoined, nil
	}
	reason := ReasonCold
	if l.token != nil {
		reason = ReasonExpired
	}
	f, err := s.begin(ctx, l, reason, now)
	if err != nil {
		return nil, nil, OriginSuppressed, err
	}
	return nil, f, OriginIssued, nil
}

// renew is [Source.Renew].
func (s *Source) renew(ctx context.Context, refused *Token) (*Token, error) {
	if err := s.renewable(ctx, refused); err != nil {
		return nil, err
	}
	t, f, outcome, err := s.replace(ctx, refused)
	if err != nil && s.revised(ctx) {
		t, f, outcome, err = s.replace(ctx, refused)
	}
	info := RenewInfo{Account: refused.account, Serial: refused.serial, Outcome: outcome, Issuance: f.announced(err)}
	ctx, done := observe(ctx, s.hooks.Renew, info)
	if f != nil {
		if err = f.wait(ctx); err == nil {
			t, err = f.token, f.err
		}
	}
	if done != nil {
		done(RenewResult{Serial: t.serialOrZero(), Err: err})
	}
	return t, err
}

// renewInBackground is [Source.RenewInBackground].
func (s *Source) renewInBackground(ctx context.Context, refused *Token) {
	if s.renewable(ctx, refused) != nil {
		return
	}
	now := s.now()
	l := s.lease(refused.account, now)
	defer l.mu.Unlock()
	if l.token == refused && l.flight == nil {
		_, _ = s.beginWithinBudget(ctx, l, refused, ReasonSuspected, now) // Nobody is here to be told.
	}
}

func (s *Source) renewable(ctx context.Context, refused *Token) error {
	if refused == nil || refused.source != s {
		return NewError(ErrMisconfigured, errNoSuchToken)
	}
	return s.admissible(ctx, refused.account)
}

// replace finds out what a caller of Renew gets: the token that has replaced
// the refused one already, an issuance to wait for, or an error.
func (s *Source) replace(ctx context.Context, refused *Token) (*Token, *issuance, RenewOutcome, error) {
	now := s.now()
	l := s.lease(refused.account, now)
	defer l.mu.Unlock()
	l.touch(now)

	if t := l.current.Load(); t != nil && t != refused && !t.dead.passed(now) {
		return t, nil, RenewSuperseded, nil
	}
	f, outcome := l.flight, RenewJoined
	if f == nil {
		var err error
		if f, err = s.beginWithinBudget(ctx, l, refused, ReasonRejected, now); err != nil {
			return nil, nil, RenewSuppressed, err
		}
		outcome = RenewIssued
	}
	l.current.Store(nil) // New callers wait with us: the token there was is refused.
	return nil, f, outcome, nil
}

// beginWithinBudget begins an issuance that a refusal asks for. The caller
// holds the lease's lock.
func (s *Source) beginWithinBudget(ctx context.Context, l *lease, refused *Token, reason Reason, now instant) (*issuance, error) {
	if err := s.clear(l, now); err != nil {
		return nil, err
	}
	if wait := l.budget.Take(now.mono, renewalBurst, refused.lifetime/renewalRefill); wait > 0 {
		return nil, NewError(ErrRenewalLimited, nil).after(wait)
	}
	return s.begin(ctx, l, reason, now)
}

// observe calls a hook, which may be nil.
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
	t, _ := TokenFromContext(ctx)
	return t != nil && t.source == s && t.account == account
}
