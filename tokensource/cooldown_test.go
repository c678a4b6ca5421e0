// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// failure returns an error like those of an issuer.
func failure(kind tokensource.ErrorKind, status int, retryAfter time.Duration) *tokensource.Error {
	err := tokensource.NewError(kind, errors.New("the cause"))
	err.StatusCode, err.RetryAfter, err.CorrelationID = status, retryAfter, "cid-1"
	return err
}

func TestCooldown_ManyCallersOneIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(errDown)
		src := newSource(t, d)
		one := src.ForAccount(acct(t, 1))
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
			_, err := one.Token(t.Context())
			if !wantKind(t, err, tokensource.ErrUnavailable).Suppressed {
				t.Error("the error does not say that no request was made")
			}
		}
		wantAsked(t, d, 2)
	})
}

func TestIssuance_TransientErrorsGetASecondTry(t *testing.T) {
	for kind, attempts := range map[tokensource.ErrorKind]int{
		tokensource.ErrUnavailable:         2,
		tokensource.ErrMalformedResponse:   2,
		tokensource.ErrCredentialsRejected: 1,
		tokensource.ErrAccountRejected:     1,
		tokensource.ErrAccountMismatch:     1,
		tokensource.ErrRateLimited:         1,
		tokensource.ErrTimeout:             1,
		tokensource.ErrIssuerPanic:         1,
		tokensource.ErrMisconfigured:       1,
	} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
				d.fail(failure(kind, 0, 0))
				src := newSource(t, d)
				wantNoToken(t, src, acct(t, 1), kind)
				wantAsked(t, d, attempts)

				// Only the first issuance of a series makes two attempts.
				time.Sleep(time.Second)
				wantNoToken(t, src, acct(t, 1), kind)
				wantAsked(t, d, attempts+1)
			})
		})
	}
}

func TestIssuance_SecondAttemptSucceeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.refuseIf(func(tokensource.Account) error {
			if len(d.calls) == 1 {
				return errDown
			}
			return nil
		})
		src := newSource(t, d)
		start := time.Now()
		token(t, src, acct(t, 1))
		between(t, "the pause", time.Since(start), 50*time.Millisecond, 100*time.Millisecond)
		wantAsked(t, d, 2)
	})
}

func TestCooldown_DoublesWithJitter(t *testing.T) {
	const sources = 60
	for failures, full := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		full *= time.Second
		least, most := full, time.Duration(0)
		for range sources {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
				d.fail(errDown)
				src := newSource(t, d)
				var err *tokensource.Error
				for range failures + 1 {
					if err != nil {
						time.Sleep(err.RetryAfter)
					}
					err = wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
				}
				wantAsked(t, d, failures+2)
				least, most = min(least, err.RetryAfter), max(most, err.RetryAfter)
			})
		}
		if least < full/2 || most > full {
			t.Errorf("after %d failures, the cooldown lasts %v to %v, want %v to %v", failures+1, least, most, full/2, full)
		}
		if least > full*65/100 || most < full*85/100 {
			t.Errorf("after %d failures, the cooldown lasts %v to %v, want a spread over %v to %v", failures+1, least, most, full/2, full)
		}
	}
}

func TestCooldown_ErrorSaysHowLongAndWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, 20*time.Second))
		src := newSource(t, d)
		start := time.Now()
		for _, passed := range []time.Duration{0, 0, 5, 19} {
			passed *= time.Second
			time.Sleep(time.Until(start.Add(passed)))
			left := 20*time.Second - passed
			err := wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
			between(t, "RetryAfter", err.RetryAfter, left, left)
			if err.StatusCode != 429 || err.CorrelationID != "cid-1" {
				t.Errorf("the cause is lost: status %d, correlation id %q", err.StatusCode, err.CorrelationID)
			}
		}
		wantAsked(t, d, 1)
		d.fail(nil)
		time.Sleep(time.Second)
		token(t, src, acct(t, 1))
	})
}

func TestCooldown_HonoursRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		time.Millisecond: time.Second, // Protects an endpoint that is down from 1,000 requests per second.
		5 * time.Second:  5 * time.Second,
		45 * time.Second: 45 * time.Second,
		time.Hour:        time.Minute,
		1<<63 - 1:        time.Minute,
	} {
		t.Run(asked.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
				d.fail(failure(tokensource.ErrRateLimited, 429, asked))
				src := newSource(t, d)
				for range 2 {
					err := wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
					between(t, "RetryAfter", err.RetryAfter, want, want)
				}
				wantAsked(t, d, 1)
				d.fail(nil)
				time.Sleep(want)
				token(t, src, acct(t, 1))
			})
		})
	}
}

func TestCooldown_IgnoresNegativeRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, -time.Hour))
		src := newSource(t, d)
		err := wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		between(t, "RetryAfter", err.RetryAfter, 500*time.Millisecond, time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		wantAsked(t, d, 1)
	})
}

func TestCooldown_SuccessEndsTheSeries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(errDown)
		src := newSource(t, d)
		for range 6 {
			time.Sleep(wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable).RetryAfter)
		}
		d.fail(nil)
		token(t, src, acct(t, 1))

		d.fail(errDown)
		time.Sleep(lifetime)
		before := d.asked()
		err := wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		between(t, "RetryAfter", err.RetryAfter, 500*time.Millisecond, time.Second)
		if n := d.asked() - before; n != 2 {
			t.Errorf("the issuer was asked %d times, want 2", n)
		}
	})
}

func TestCooldown_DelaysNoOtherAccount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const latency = 100 * time.Millisecond
		d := &fakeIssuer{latency: latency, lifetime: 2 * time.Second}
		bad := acct(t, 1)
		d.refuseIf(func(account tokensource.Account) error {
			if account == bad {
				return failure(tokensource.ErrAccountRejected, 401, 0)
			}
			return nil
		})
		src := newSource(t, d)
		accounts := accts(t, 20)
		together(1000, 50*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i%2 == 0 {
				wantNoToken(t, src, bad, tokensource.ErrAccountRejected)
				return nil, nil
			}
			start := time.Now()
			tok := token(t, src, accounts[i%len(accounts)])
			between(t, "the wait of another account", time.Since(start), 0, latency)
			return tok, nil
		})
	})
}
