// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestToken_ThousandCallersOneIssuance(t *testing.T) {
	for name, tt := range map[string]struct {
		latency, pause time.Duration
	}{
		"all at once":                            {0, 0},
		"all at once, 200 ms issuance":           {200 * time.Millisecond, 0},
		"staggered over 200 ms":                  {0, 200 * time.Microsecond},
		"staggered over 200 ms, 200 ms issuance": {200 * time.Millisecond, 200 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: tt.latency}
				src := newSource(t, d)
				one := src.ForAccount(acct(t, 1))
				all := together(1000, tt.pause, func(i int) (*tokensource.Token, error) {
					if i%2 == 0 {
						return one.Token(t.Context())
					}
					return src.Token(t.Context(), acct(t, 1))
				})
				if got := serials(t, all); len(got) != 1 {
					t.Errorf("the callers got %d different tokens, want 1", len(got))
				}
				wantAsked(t, d, 1)
			})
		})
	}
}

func TestToken_KeptWhileFresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		for range 400 {
			token(t, src, acct(t, 1))
			time.Sleep(time.Second)
		}
		wantAsked(t, d, 1)
	})
}

func TestToken_UnusedAccountIsNotRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		token(t, src, acct(t, 1))
		time.Sleep(24 * time.Hour)
		wantAsked(t, d, 1)
	})
}

func TestToken_CallersShareAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 50 * time.Millisecond}
		d.fail(errDown)
		src := newSource(t, d)
		all := together(20, 0, func(int) (*tokensource.Token, error) {
			return src.Token(t.Context(), acct(t, 1))
		})
		for _, g := range all {
			if wantKind(t, g.err, tokensource.ErrUnavailable).Suppressed {
				t.Error("the error says that no request was made")
			}
			if g.err != all[0].err {
				t.Errorf("the callers got different errors: %v and %v", g.err, all[0].err)
			}
			// Each caller waits for two attempts and the pause between them. The callers
			// do not wait one after the other.
			between(t, "a caller's wait", g.waited, 150*time.Millisecond, 200*time.Millisecond)
		}
		wantAsked(t, d, 2)
	})
}

func TestToken_CancelEndsOnlyOneWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 200 * time.Millisecond}
		src := newSource(t, d)
		all := together(2, time.Millisecond, func(i int) (*tokensource.Token, error) {
			ctx := t.Context()
			if i == 0 { // The caller that starts the issuance leaves.
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				time.AfterFunc(10*time.Millisecond, cancel)
			}
			return src.Token(ctx, acct(t, 1))
		})
		wantKind(t, all[0].err, tokensource.ErrCanceled)
		between(t, "the wait of the caller that left", all[0].waited, 10*time.Millisecond, 10*time.Millisecond)
		if all[1].err != nil {
			t.Errorf("the caller that stayed got error %v, want a token", all[1].err)
		}
		between(t, "the wait of the caller that stayed", all[1].waited, 199*time.Millisecond, 199*time.Millisecond)
		wantAsked(t, d, 1)
	})
}

func TestToken_IssuanceOutlivesItsCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 200 * time.Millisecond}
		src := newSource(t, d)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := src.Token(ctx, acct(t, 1)); err == nil {
			t.Fatal("a caller got a token before its context expired")
		}
		time.Sleep(time.Second)
		token(t, src, acct(t, 1))
		wantAsked(t, d, 1)
	})
}

func TestToken_HonoursTheDeadline(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *tokensource.Source, *tokensource.Token) error{
		"Token": func(ctx context.Context, src *tokensource.Source, refused *tokensource.Token) error {
			account, _ := tokensource.ParseAccountID("2")
			_, err := src.Token(ctx, account)
			return err
		},
		"Renew": func(ctx context.Context, src *tokensource.Source, refused *tokensource.Token) error {
			_, err := src.Renew(ctx, refused)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: 400 * time.Millisecond}
				src := newSource(t, d)
				refused := token(t, src, acct(t, 1))

				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
				defer cancel()
				err := wantKind(t, ask(ctx, src, refused), tokensource.ErrTimeout)
				between(t, "the wait", time.Since(start), 30*time.Millisecond, 30*time.Millisecond)
				if !errors.Is(err, context.DeadlineExceeded) || !err.Timeout() {
					t.Errorf("%v does not count as a timeout", err)
				}
			})
		})
	}
}

func TestToken_ReturnsTheCancelCause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{latency: time.Second})
		reason := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(reason) })
		_, err := src.Token(ctx, acct(t, 1))
		wantKind(t, err, tokensource.ErrCanceled)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
			t.Errorf("context.Canceled or the cause is missing in %v", err)
		}
	})
}

// A caller that leaves when the issuance ends must not read a field that is
// being written. The race detector checks this.
func TestToken_CancelDuringCompletionIsSafe(t *testing.T) {
	src := newSource(t, issuerFunc(func(context.Context, tokensource.Account) (tokensource.Grant, error) {
		runtime.Gosched()
		return tokensource.Grant{}, tokensource.NewError(tokensource.ErrAccountMismatch, nil)
	}))
	for i := range 300 {
		account := acct(t, 1+i)
		ctx, cancel := context.WithCancel(t.Context())
		together(4, 0, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				cancel()
			}
			return src.Token(ctx, account)
		})
		cancel()
	}
}

// Every token that Token returns without an error can be sent, whatever the
// endpoint and the callers do.
func TestToken_IsNeverExpired(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 2 * time.Second, lifetime: 20 * time.Second}
		src := newSource(t, d)
		account := acct(t, 1)
		var callers sync.WaitGroup
		for i := range 10 {
			callers.Go(func() {
				var last *tokensource.Token
				for n := range 500 {
					time.Sleep(time.Duration(1+(n*7+i*13)%23) * 100 * time.Millisecond)
					if i == 0 && n%20 == 0 {
						d.fail([]error{nil, errDown}[n/20%2])
					}
					tok, err := src.Token(t.Context(), account)
					if err == nil && time.Until(tok.Expiry()) <= 2*time.Second {
						t.Errorf("got a token that expires in %v", time.Until(tok.Expiry()))
					}
					if i == 1 && n%50 == 0 && last != nil {
						if tok, err := src.Renew(t.Context(), last); err == nil && tok.Expired() {
							t.Error("Renew returned an expired token")
						}
					}
					last = tok
				}
			})
		}
		callers.Wait()
	})
}

func TestToken_ZeroAccountFails(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	var zero tokensource.Account
	wantNoToken(t, src, zero, tokensource.ErrMisconfigured)
	_, err := src.ForAccount(zero).Token(t.Context())
	wantKind(t, err, tokensource.ErrMisconfigured)
	_, err = src.OAuth2(zero).Token()
	wantKind(t, err, tokensource.ErrMisconfigured)
	wantAsked(t, d, 0)
	if src.Status().Accounts != 0 {
		t.Error("the Source keeps an entry for the zero Account")
	}
}

func TestToken_Organization(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	if tok := token(t, src, tokensource.Organization()); tok.Account() != tokensource.Organization() {
		t.Errorf("the token is for %v, want the organization", tok.Account())
	}
	token(t, src, tokensource.Organization())
	wantAsked(t, d, 1)
}
