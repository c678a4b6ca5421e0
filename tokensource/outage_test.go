// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The token endpoint is down for a minute. One account gets 100 requests a
// second, and has a valid token for the first part of the outage.
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
					d := &fakeIssuer{}
					src := newSource(t, d)
					first := token(t, src, account)
					expires := first.Expiry().Add(-15 * time.Second)
					time.Sleep(time.Until(expires.Add(-20 * time.Second)))

					outage := time.Now()
					d.fail(down)
					for time.Since(outage) < time.Minute {
						tok, err := src.Token(t.Context(), account)
						if valid := time.Now().Before(expires); valid != (err == nil) {
							t.Fatalf("%v before the token expires: got %v, error %v, want a token until it expires", time.Until(expires), tok, err)
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

// An issuance that hangs when the endpoint recovers takes its full ten seconds.
// They count as part of the cooldown.
func TestOutage_HungEndpointRecovers(t *testing.T) {
	for _, account := range []tokensource.Account{acct(t, 1), tokensource.Organization()} {
		for i := range 30 { // Each outage ends at another moment of the cooldowns.
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
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
		d := &fakeIssuer{latency: 10 * time.Millisecond}
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
