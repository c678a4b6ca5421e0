package tokensource_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// failure returns an error as an issuer makes it.
func failure(kind tokensource.ErrorKind, status int, retryAfter time.Duration) *tokensource.Error {
	err := tokensource.NewError(kind, errors.New("the cause"))
	err.StatusCode, err.RetryAfter, err.CorrelationID = status, retryAfter, "cid-1"
	return err
}

func TestCooldown_CallersInARowCostOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		d.fail(errDown)
		src := newSource(t, d)
		one := src.ForAccount(acct(t, 1))
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
			_, err := one.Token(t.Context())
			if !wantKind(t, err, tokensource.ErrUnavailable).Suppressed {
				t.Error("the error does not say that nothing was tried")
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
				d := &desk{}
				d.fail(failure(kind, 0, 0))
				src := newSource(t, d)
				wantNoToken(t, src, acct(t, 1), kind)
				wantAsked(t, d, attempts)

				// Only the first issuance of a series gets two.
				time.Sleep(time.Second)
				wantNoToken(t, src, acct(t, 1), kind)
				wantAsked(t, d, attempts+1)
			})
		})
	}
}

func TestIssuance_SecondAttemptSucceeds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
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
				d := &desk{}
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
			t.Errorf("after %d failures, the cooldown takes %v to %v, want %v to %v", failures+1, least, most, full/2, full)
		}
		if least > full*65/100 || most < full*85/100 {
			t.Errorf("after %d failures, the cooldown takes %v to %v: it is not spread over %v to %v", failures+1, least, most, full/2, full)
		}
	}
}

func TestCooldown_ErrorSaysHowLongAndWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
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
		time.Millisecond: time.Second, // Or an endpoint that is down would be asked a thousand times a second.
		5 * time.Second:  5 * time.Second,
		45 * time.Second: 45 * time.Second,
		time.Hour:        time.Minute,
		1<<63 - 1:        time.Minute,
	} {
		t.Run(asked.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &desk{}
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
		d := &desk{}
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
		d := &desk{}
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
		d := &desk{latency: latency, lifetime: 2 * time.Second}
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

// The figures of a minute without a token endpoint: one account, 100 requests a
// second, a valid token in hand for the first part.
func TestOutage_MinuteWithAToken(t *testing.T) {
	for name, account := range map[string]tokensource.Account{
		"account": acct(t, 1), "organization": tokensource.Organization(),
	} {
		for how, down := range map[string]error{
			"unreachable": errDown,
			"malformed":   failure(tokensource.ErrMalformedResponse, 200, 0),
			"500":         failure(tokensource.ErrUnavailable, 500, 0),
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					d := &desk{}
					src := newSource(t, d)
					first := token(t, src, account)
					dies := first.Expiry().Add(-15 * time.Second)
					time.Sleep(time.Until(dies.Add(-20 * time.Second)))

					outage := time.Now()
					d.fail(down)
					for time.Since(outage) < time.Minute {
						tok, err := src.Token(t.Context(), account)
						if alive := time.Now().Before(dies); alive != (err == nil) {
							t.Fatalf("%v before the token dies: got %v, %v", time.Until(dies), tok, err)
						}
						time.Sleep(10 * time.Millisecond)
					}
					if n := d.askedBetween(outage, time.Now()); n > 12 {
						t.Errorf("in a minute of outage, the issuer was asked %d times, want at most 12", n)
					}

					recovery := time.Now()
					d.fail(nil)
					for {
						if _, err := src.Token(t.Context(), account); err == nil {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
					between(t, "the time to the first success", time.Since(recovery), 0, 35*time.Second)
				})
			})
		}
	}
}

// An issuance that hangs when the endpoint recovers takes its ten seconds: they
// count as part of the cooldown.
func TestOutage_HungEndpointRecovers(t *testing.T) {
	for _, account := range []tokensource.Account{acct(t, 1), tokensource.Organization()} {
		for i := range 30 { // The outage ends at another moment of the series each time.
			bubble(t, func(t *testing.T) {
				d := &desk{}
				var hangs atomic.Bool
				hangs.Store(true)
				src := newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
					grant, err := d.Issue(ctx, account)
					if hangs.Load() {
						<-ctx.Done()
						return tokensource.Grant{}, ctx.Err()
					}
					return grant, err
				}))
				ask := func() error {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					defer cancel()
					_, err := src.Token(ctx, account)
					return err
				}
				for start := time.Now(); time.Since(start) < time.Minute+time.Duration(i)*time.Second; {
					_ = ask()
					time.Sleep(100 * time.Millisecond)
				}
				if n := d.asked(); n > 12 {
					t.Errorf("the issuer was asked %d times, want at most 12", n)
				}

				hangs.Store(false)
				recovery := time.Now()
				for ask() != nil {
					time.Sleep(100 * time.Millisecond)
				}
				between(t, "the time to the first success", time.Since(recovery), 0, 30*time.Second+200*time.Millisecond)
			})
		}
	}
}

func TestOutage_MinuteWithoutAToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{latency: 10 * time.Millisecond}
		d.fail(errDown)
		src := newSource(t, d)
		start := time.Now()
		for time.Since(start) < time.Minute {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
			time.Sleep(10 * time.Millisecond)
		}
		if d.asked() > 12 {
			t.Errorf("the issuer was asked %d times, want at most 12", d.asked())
		}
	})
}

// A revised issuer can tell when its credentials have changed.
type revised struct {
	tokensource.Issuer

	revision atomic.Pointer[string]
	asked    atomic.Int64
}

func revise(issuer tokensource.Issuer, revision string) *revised {
	r := &revised{Issuer: issuer}
	r.revision.Store(&revision)
	return r
}

func (r *revised) Revision(context.Context) string {
	r.asked.Add(1)
	return *r.revision.Load()
}

func TestRevision_ChangeEndsTheCooldown(t *testing.T) {
	for name, account := range map[string]tokensource.Account{
		"of an account": acct(t, 1), "of the Source": tokensource.Organization(),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &desk{}
				d.fail(failure(tokensource.ErrCredentialsRejected, 401, time.Minute))
				issuer := revise(d, "1")
				src := newSource(t, issuer)
				wantNoToken(t, src, account, tokensource.ErrCredentialsRejected)
				time.Sleep(5 * time.Second)
				wantNoToken(t, src, account, tokensource.ErrCredentialsRejected)
				wantAsked(t, d, 1)

				d.fail(nil)
				two := "2"
				issuer.revision.Store(&two)
				time.Sleep(time.Second)
				token(t, src, account)
				wantAsked(t, d, 2)
			})
		})
	}
}

func TestRevision_FailureAfterAChangeCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		d.fail(failure(tokensource.ErrCredentialsRejected, 401, time.Minute))
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
		two := "2"
		issuer.revision.Store(&two)
		time.Sleep(2 * time.Second)
		for range 10 {
			wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
			time.Sleep(2 * time.Second)
		}
		wantAsked(t, d, 2)
	})
}

func TestRevision_ChangeAllowsARenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		tok := token(t, src, acct(t, 1))
		d.fail(failure(tokensource.ErrAccountRejected, 401, time.Minute))
		wantNotRenewed(t, src, tok, tokensource.ErrAccountRejected)
		time.Sleep(2 * time.Second)
		wantNotRenewed(t, src, tok, tokensource.ErrAccountRejected)

		d.fail(nil)
		two := "2"
		issuer.revision.Store(&two)
		time.Sleep(2 * time.Second)
		if renew(t, src, tok) == tok {
			t.Error("the token was not renewed")
		}
	})
}

func TestRevision_IsReadOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		time.Sleep(5 * time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		before := issuer.asked.Load()
		for range 2000 { // 200 a second
			wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
			time.Sleep(5 * time.Millisecond)
		}
		if n := issuer.asked.Load() - before; n < 9 || n > 11 {
			t.Errorf("in 10 s of the cooldown, the revision was asked for %d times", n)
		}
	})
}

func TestRevision_IsNotReadWithoutFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := revise(&desk{}, "1")
		src := newSource(t, issuer)
		for range 400 {
			token(t, src, acct(t, 1))
			time.Sleep(time.Second)
		}
		if n := issuer.asked.Load(); n != 1 { // With the issuance.
			t.Errorf("the revision was asked for %d times", n)
		}
	})
}

func TestRevision_PanicOfTheIssuerCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := 0
		src := newSource(t, revise(issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
			calls++
			panic("broken")
		}), "1"))
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrIssuerPanic)
		}
		synctest.Wait()
		if calls != 1 {
			t.Errorf("the issuer was asked %d times", calls)
		}
	})
}

func TestRevision_TimeoutOfTheIssuerCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{latency: time.Hour}
		src := newSource(t, revise(d, "1"))
		for range 10 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrTimeout)
		}
		wantAsked(t, d, 1)
	})
}

func TestRevision_GetsNoCallerValues(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T) {
		var seen []any
		d := &desk{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		src := newSource(t, revisedBy{d, func(ctx context.Context) string {
			seen = append(seen, ctx.Value(key{}))
			return "1"
		}})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "dial info"))
		defer cancel()
		for range 3 {
			_, err := src.Token(ctx, acct(t, 1))
			wantKind(t, err, tokensource.ErrRateLimited)
			time.Sleep(time.Second)
		}
		for _, value := range seen {
			if value != nil {
				t.Fatalf("asked for its revision %d times, the issuer sees %v", len(seen), seen)
			}
		}
		if len(seen) < 3 {
			t.Errorf("the revision was asked for %d times: the test proves nothing", len(seen))
		}
	})
}

func TestRevision_CanceledCallerDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		slow := false
		src := newSource(t, revisedBy{d, func(ctx context.Context) string {
			if slow {
				<-ctx.Done()
			}
			return "1"
		}})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		slow = true
		time.Sleep(2 * time.Second)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := src.Token(ctx, acct(t, 1))
		wantKind(t, err, tokensource.ErrRateLimited)
		between(t, "the wait", time.Since(start), time.Millisecond, time.Millisecond)
	})
}

// As one that reads the credentials from a file system that hangs.
func TestRevision_IgnoredContextHoldsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		hang := make(chan struct{})
		var hangs atomic.Bool
		var hanging atomic.Int32
		src := newSource(t, revisedBy{d, func(context.Context) string {
			if hangs.Load() {
				hanging.Add(1)
				<-hang
				return "2"
			}
			return "1"
		}})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		hangs.Store(true)
		for range 30 {
			time.Sleep(time.Second)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := src.Token(ctx, acct(t, 1))
			cancel()
			wantKind(t, err, tokensource.ErrRateLimited)
			between(t, "the wait", time.Since(start), 0, time.Millisecond)
		}
		if n := hanging.Load(); n != 1 {
			t.Errorf("%d questions hang", n)
		}
		d.fail(nil)
		close(hang)
		synctest.Wait()
		token(t, src, acct(t, 1))
	})
}

// As passport.S2S does it with a vault that is slow, or hangs: what it tells when
// its time is up is no news of the credentials.
func TestRevision_TimeoutIsNoChange(t *testing.T) {
	for _, latency := range []time.Duration{100 * time.Millisecond, time.Hour} {
		bubble(t, func(t *testing.T) {
			d := &desk{}
			d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
			var slow atomic.Bool
			src := newSource(t, revisedBy{d, func(ctx context.Context) string {
				if slow.Load() {
					select {
					case <-time.After(latency):
					case <-ctx.Done():
						return "unreadable"
					}
				}
				return "1"
			}})
			wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
			slow.Store(true)
			for range 30 {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				_, err := src.Token(ctx, acct(t, 1))
				cancel()
				wantKind(t, err, tokensource.ErrRateLimited)
			}
			wantAsked(t, d, 1)
		})
	}
}

// An outage that takes the vault along: the credentials can be read now and then.
func TestRevision_UnknownNowAndThenIsNoStorm(t *testing.T) {
	for _, accounts := range []int{1, 1000} {
		t.Run(strconv.Itoa(accounts), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &desk{latency: 10 * time.Millisecond}
				d.fail(errDown)
				src := newSource(t, revisedBy{d, func(context.Context) string {
					return []string{"1", ""}[rand.N(2)]
				}})
				all := accts(t, accounts)
				start := time.Now()
				for time.Since(start) < time.Minute {
					together(len(all), 0, func(i int) (*tokensource.Token, error) { return src.Token(t.Context(), all[i]) })
					time.Sleep(500 * time.Millisecond)
				}
				if n := d.asked(); n > 60 {
					t.Errorf("in a minute of outage, the issuer was asked %d times", n)
				}
			})
		})
	}
}

func TestRevision_AskingItsOwnSourceFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		var src *tokensource.Source
		var told []error
		src = newSource(t, revisedBy{d, func(ctx context.Context) string {
			_, err := src.Token(ctx, acct(t, 2))
			told = append(told, err)
			return "1"
		}})
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		time.Sleep(2 * time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		for _, err := range told {
			wantKind(t, err, tokensource.ErrMisconfigured)
		}
		if len(told) < 2 {
			t.Errorf("the revision was asked for %d times: the test proves nothing", len(told))
		}
	})
}

func TestRevision_PanicIsNoChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &desk{}
		broken := true
		src := newSource(t, revisedBy{d, func(context.Context) string {
			if broken {
				panic("broken")
			}
			return "1"
		}})
		for range 3 {
			wantNoToken(t, src, acct(t, 1), tokensource.ErrIssuerPanic)
		}
		broken = false
		time.Sleep(time.Second)
		token(t, src, acct(t, 1))
	})
}

// revisedBy is an issuer with a revision that a function tells.
type revisedBy struct {
	tokensource.Issuer

	revision func(context.Context) string
}

func (r revisedBy) Revision(ctx context.Context) string { return r.revision(ctx) }

func TestStatus_CountsCooldowns(t *testing.T) {
	want := func(src *tokensource.Source, what string, accounts int, all bool) {
		t.Helper()
		status := src.Status()
		if everybody := !status.CooldownUntil.IsZero(); status.CoolingDown != accounts || everybody != all {
			t.Errorf("%s: %d accounts are in cooldown, all is %v; want %d and %v", what, status.CoolingDown, everybody, accounts, all)
		}
	}
	bubble(t, func(t *testing.T) {
		d := &desk{}
		src := newSource(t, d)
		token(t, src, acct(t, 7))
		want(src, "all is well", 0, false)
		d.fail(errDown)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
		want(src, "one account has failed", 1, false)
		wantNoToken(t, src, acct(t, 2), tokensource.ErrUnavailable)
		wantNoToken(t, src, acct(t, 3), tokensource.ErrUnavailable)
		want(src, "three have", 3, true)
		time.Sleep(time.Minute)
		want(src, "time has passed", 0, false)
	})
}
