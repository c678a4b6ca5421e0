// SPDX-License-Identifier: Apache-2.0

package tokensource

import "context"

func (s *Source) renew(ctx context.Context, refused *Token) (*Token, error) {
	if err := s.checkRenewal(ctx, refused); err != nil {
		return nil, err
	}
	t, f, outcome, err := s.replace(ctx, refused)
	if err != nil && s.revised(ctx) {
		t, f, outcome, err = s.replace(ctx, refused)
	}
	info := RenewInfo{Account: refused.account, RefusedSerial: refused.serial, Outcome: outcome, Issuance: f.numberOr(ctx, err)}
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

func (s *Source) renewInBackground(ctx context.Context, refused *Token) {
	if s.checkRenewal(ctx, refused) != nil {
		return
	}
	now := s.now()
	e := s.entry(refused.account, now)
	defer e.mu.Unlock()
	if e.newest == refused && e.running == nil {
		_, _ = s.begin(ctx, e, ReasonSuspected, refused, now) // No caller waits for the error.
	}
}

func (s *Source) beginRenewal(ctx context.Context, refused *Token) {
	if s.checkRenewal(ctx, refused) == nil {
		_, _, _, _ = s.replace(ctx, refused) // No caller waits for the error.
	}
}

func (s *Source) checkRenewal(ctx context.Context, refused *Token) error {
	if refused == nil || refused.source != s {
		return NewError(ErrMisconfigured, errNoSuchToken)
	}
	return s.checkCall(ctx, refused.account)
}

// replace returns what a caller of Renew gets: the token that has replaced the
// refused token, an issuance to wait for, or an error.
//
// It takes the refused token out of service for a short time, so that new
// callers wait for the successor. After a failed renewal new callers do not
// wait: an endpoint that refuses every token must not delay the callers of
// other endpoints.
func (s *Source) replace(ctx context.Context, refused *Token) (*Token, *issuance, RenewOutcome, error) {
	now := s.now()
	e := s.entry(refused.account, now)
	defer e.mu.Unlock()
	e.touch(now)

	if t := e.current.Load(); t != nil && t != refused && !t.expiring(now) {
		return t, nil, RenewSuperseded, nil
	}
	f, outcome := e.running, RenewJoined
	if f == nil {
		if ctx.Err() != nil {
			return nil, nil, RenewSuppressed, callerError(ctx)
		}
		var err error
		if f, err = s.begin(ctx, e, ReasonRefused, refused, now); err != nil {
			return nil, nil, RenewSuppressed, err
		}
		outcome = RenewIssued
	}
	if f.patience == 0 && e.cooldown.failures == 0 {
		f.patience = now.mono + renewalPatience
	}
	e.current.Store(nil) // For as long as the patience lasts.
	return nil, f, outcome, nil
}
