// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// renew renews a token and fails the test on an error.
func renew(t *testing.T, src *tokensource.Source, refused *tokensource.Token) *tokensource.Token {
	t.Helper()
	tok, err := src.Renew(t.Context(), refused)
	if err != nil {
		t.Fatal("Renew:", err)
	}
	return tok
}

// wantNotRenewed fails the test unless the renewal fails with the given kind.
func wantNotRenewed(t *testing.T, src *tokensource.Source, refused *tokensource.Token, kind tokensource.ErrorKind) *tokensource.Error {
	t.Helper()
	tok, err := src.Renew(t.Context(), refused)
	if tok != nil {
		t.Errorf("got %v with error %v, want no token", tok, err)
	}
	return wantKind(t, err, kind)
}

func TestRenew_ReplacesARefusedToken(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	first := token(t, src, acct(t, 1))
	second := renew(t, src, first)
	if second == first || second.Account() != first.Account() {
		t.Errorf("%v was renewed with %v", first, second)
	}
	if token(t, src, acct(t, 1)) != second {
		t.Error("the new token is not handed out")
	}
	wantAsked(t, d, 2)
}

func TestRenew_SixteenAtOnceOneIssuance(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at once": 0, "staggered": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{latency: 200 * time.Millisecond}
				src := newSource(t, d)
				first := token(t, src, acct(t, 1))
				all := together(16, pause, func(int) (*tokensource.Token, error) {
					return src.Renew(t.Context(), first)
				})
				if got := serials(t, all); len(got) != 1 || got[0] != 2 {
					t.Errorf("the callers got the tokens %d, want 2", got)
				}
				wantAsked(t, d, 2)
			})
		})
	}
}

func TestRenew_ThousandCallersOneIssuance(t *testing.T) {
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
				revoked := token(t, src, acct(t, 1))
				all := together(1000, tt.pause, func(int) (*tokensource.Token, error) {
					tok, err := src.Token(t.Context(), acct(t, 1))
					if err != nil || tok != revoked {
						return tok, err
					}
					time.Sleep(5 * time.Millisecond) // The round trip of the request that is answered 401.
					return src.Renew(t.Context(), tok)
				})
				if got := serials(t, all); len(got) != 1 || got[0] != 2 {
					t.Errorf("the callers got the tokens %d, want 2", got)
				}
				wantAsked(t, d, 2)
			})
		})
	}
}

func TestRenew_EightInARowOneIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d)
		// All eight requests were sent with the first token. Their 401 answers come
		// late.
		first := token(t, src, acct(t, 1))
		for range 8 {
			if tok := renew(t, src, first); tok.Serial() != 2 {
				t.Errorf("got %v, want token 2", tok)
			}
			token(t, src, acct(t, 1)) // A request between the renewals.
			time.Sleep(time.Second)
		}
		wantAsked(t, d, 2)
	})
}

func TestRenew_OldRefusalIsSuperseded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		second := renew(t, src, first)
		if tok := renew(t, src, first); tok != second {
			t.Errorf("got %v, want the current token", tok)
		}
		src.RenewInBackground(t.Context(), first)
		synctest.Wait()
		if tok := token(t, src, acct(t, 1)); tok != second {
			t.Errorf("got %v, want the current token", tok)
		}
		wantAsked(t, d, 2)
	})
}

func TestRenew_NewCallersWaitForTheSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 200 * time.Millisecond}
		src := newSource(t, d)
		one := src.ForAccount(acct(t, 1))
		first := token(t, src, acct(t, 1))
		if _, err := one.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := together(3, 10*time.Millisecond, func(i int) (*tokensource.Token, error) {
			switch i {
			case 0:
				return src.Renew(t.Context(), first)
			case 1:
				return src.Token(t.Context(), acct(t, 1))
			default:
				return one.Token(t.Context())
			}
		})
		if got := serials(t, all); len(got) != 1 || got[0] != 2 {
			t.Errorf("the callers got the tokens %d, want 2", got)
		}
		wantAsked(t, d, 2)
	})
}

func TestRenew_JoinsARunningIssuance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 200 * time.Millisecond}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		time.Sleep(500 * time.Second)
		token(t, src, acct(t, 1)) // Begins the renewal.
		all := together(2, 10*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				return src.Renew(t.Context(), first)
			}
			return src.Token(t.Context(), acct(t, 1))
		})
		if got := serials(t, all); len(got) != 1 || got[0] != 2 {
			t.Errorf("the callers got the tokens %d, want 2", got)
		}
		wantAsked(t, d, 2)
	})
}

func TestRenew_FailureKeepsTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{latency: 100 * time.Millisecond}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		d.fail(errDown)
		all := together(3, 10*time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				return src.Renew(t.Context(), first)
			}
			// These callers wait for the renewal. They are served after it has failed.
			return src.Token(t.Context(), acct(t, 1))
		})
		wantKind(t, all[0].err, tokensource.ErrUnavailable)
		if all[0].token != nil {
			t.Errorf("the failed renewal returned %v", all[0].token)
		}
		for _, g := range all[1:] {
			if g.token != first || g.err != nil {
				t.Errorf("a waiting caller got %v, %v", g.token, g.err)
			}
		}
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is out of service")
		}
	})
}

func TestRenew_FailureDropsAnExpiredToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		time.Sleep(584 * time.Second)
		d.latency = 9 * time.Second // The token expires during its renewal.
		d.fail(tokensource.NewError(tokensource.ErrAccountRejected, nil))
		all := together(2, time.Millisecond, func(i int) (*tokensource.Token, error) {
			if i == 0 {
				return src.Renew(t.Context(), first)
			}
			return src.Token(t.Context(), acct(t, 1))
		})
		for _, g := range all {
			wantKind(t, g.err, tokensource.ErrAccountRejected)
		}
	})
}

func TestRenew_FailureCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		first := token(t, src, acct(t, 1))
		d.fail(tokensource.NewError(tokensource.ErrAccountRejected, nil))
		for range 10 {
			wantNotRenewed(t, src, first, tokensource.ErrAccountRejected)
		}
		src.RenewInBackground(t.Context(), first)
		synctest.Wait()
		wantAsked(t, d, 2)
		if token(t, src, acct(t, 1)) != first {
			t.Error("the token is out of service")
		}
	})
}

func TestRenew_AcceptsAnExpiredToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{})
		first := token(t, src, acct(t, 1))
		time.Sleep(time.Hour)
		if tok := renew(t, src, first); tok == first || tok.Expired() {
			t.Errorf("got %v, want a new valid token", tok)
		}
	})
}

func TestRenew_ForeignTokenFails(t *testing.T) {
	d := &fakeIssuer{}
	src, other := newSource(t, d), newSource(t, &fakeIssuer{})
	wantNotRenewed(t, src, token(t, other, acct(t, 1)), tokensource.ErrMisconfigured)
	wantNotRenewed(t, src, nil, tokensource.ErrMisconfigured)
	src.RenewInBackground(t.Context(), token(t, other, acct(t, 1)))
	src.RenewInBackground(t.Context(), nil)
	wantAsked(t, d, 0)
}

func TestRenew_IssuersOwnSourceFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var src *tokensource.Source
		var first *tokensource.Token
		d := &fakeIssuer{}
		src = newSource(t, issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			if first == nil {
				return d.Issue(ctx, account)
			}
			src.RenewInBackground(ctx, first)
			_, err := src.Renew(ctx, first)
			return tokensource.Grant{}, err
		}))
		first = token(t, src, acct(t, 1))
		wantNotRenewed(t, src, first, tokensource.ErrMisconfigured)
	})
}
