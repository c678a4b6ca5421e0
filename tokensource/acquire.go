package tokensource

import (
	"context"
	"time"
)

// The causes of ErrMisconfigured that are found here.
var (
	errZeroAccount = Explain("the account is not set, use ParseAccountID, or Organization for the whole organization", nil)
	errOwnIssuer   = Explain("the issuer's own HTTP client asks this Source for a token, give it a client of its own", nil)
	errNoSuchToken = Explain("the token to renew is nil, or of another Source", nil)
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

// A decision says what a caller of Token gets: a token that is there, an issuance
// to wait for, or an error.
type decision struct {
	token  *Token
	flight *issuance
	err    error
	origin TokenOrigin

	// patience is how long the caller waits for the flight if the previous
	// token can still serve; 0 means as long as it takes.
	patience time.Duration
}

// acquire is [Source.Token] for a caller who finds no fresh token.
func (s *Source) acquire(ctx context.Context, account Account) (*Token, error) {
	if err := s.admissible(ctx, account); err != nil {
		return nil, err
	}
	d := s.decide(ctx, account)
	if d.err != nil && s.revised(ctx) {
		d = s.decide(ctx, account)
	}
	number := d.flight.numberOr(ctx, d.err)
	info := AcquireInfo{Account: account, Origin: d.origin, Issuance: number, Repeated: s.repeated(ctx, account)}
	ctx, done := observe(ctx, s.hooks.Acquire, info)
	t, err := d.token, d.err
	if d.flight != nil {
		t, err = s.waitFor(ctx, d)
	}
	if done != nil {
		done(AcquireResult{Serial: t.serialOrZero(), Err: err})
	}
	return t, err
}

// decide finds out what a caller of Token gets.
func (s *Source) decide(ctx context.Context, account Account) decision {
	now := s.now()
	e := s.entry(account, now)
	defer e.mu.Unlock()
	e.touch(now)

	if t := e.serving(now); t != nil {
		return s.serve(ctx, e, t, now)
	}
	if e.flight != nil {
		return e.join(now)
	}
	if ctx.Err() != nil {
		return decision{err: callerError(ctx), origin: OriginSuppressed}
	}
	f, err := s.begin(ctx, e, e.reasonToIssue(now), e.condemned(now), now)
	if err != nil {
		return decision{err: err, origin: OriginSuppressed}
	}
	return decision{flight: f, origin: OriginIssued}
}

// serve returns the decision for an entry with a token in service. It begins the
// renewal of a stale token. The caller holds the entry's lock.
func (s *Source) serve(ctx context.Context, e *entry, t *Token, now instant) decision {
	if !t.stale.passed(now) {
		return decision{token: t, origin: OriginCached}
	}
	if e.flight == nil && ctx.Err() == nil {
		// The error does not matter: the stale token is good enough.
		_, _ = s.begin(ctx, e, ReasonAhead, nil, now)
	}
	return decision{token: t, origin: OriginStale}
}

// waitFor waits for an issuance. If that takes longer than the caller's patience,
// the previous token is back in service, and the issuance goes on.
func (s *Source) waitFor(ctx context.Context, d decision) (*Token, error) {
	var patience <-chan time.Time
	if d.patience > 0 {
		timer := time.NewTimer(d.patience)
		defer timer.Stop()
		patience = timer.C
	}
	for {
		select {
		case <-d.flight.done:
			return d.flight.result(s.now())
		case <-ctx.Done():
			return nil, callerError(ctx)
		case <-patience:
			if t := s.resume(d.flight.entry); t != nil {
				return t, nil
			}
		}
	}
}

// resume puts the newest token back in service while its renewal goes on. It
// returns nil if there is none to use.
func (s *Source) resume(e *entry) *Token {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.usable(s.now())
	e.current.Store(t)
	return t
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
