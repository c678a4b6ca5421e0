// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// A clock is that of one replica. All replicas of a test have the fake clock of
// the test. So the rest of the world differs instead: the endpoint's times are
// ahead, and everything that lives, lives for 1/rate of its time.
type clock struct {
	ahead time.Duration // of the endpoint's clock
	rate  float64       // of the replica's clock; 1.02 is fast by 2 %
}

const (
	clockReplicas = 50
	jwtLifetime   = 400 * time.Second // It is not the default.
	maxAhead      = 10 * time.Minute
	maxDrift      = 0.02
)

// clocks return the clock of a replica. The replicas have parts from -1 to 1.
var clocks = map[string]func(part float64) clock{
	"equal":                 func(float64) clock { return clock{rate: 1} },
	"10 minutes off":        func(part float64) clock { return clock{time.Duration(part * float64(maxAhead)), 1} },
	"2 % fast or slow":      func(part float64) clock { return clock{0, 1 + part*maxDrift} },
	"10 minutes off, drift": func(part float64) clock { return clock{time.Duration(-part * float64(maxAhead)), 1 + part*maxDrift} },
}

// A jwtPlatform grants JWTs that state only exp, so that the Date of the
// response decides how long they live.
type jwtPlatform struct {
	platform

	births sync.Map // when a token was issued, by value
}

// A clockedIssuer asks a platform, as a replica with this clock sees it.
type clockedIssuer struct {
	*jwtPlatform
	clock
}

func (c clockedIssuer) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	grant, err := c.platform.Issue(ctx, account)
	if err != nil {
		return grant, err
	}
	date := time.Now().Add(c.ahead)
	life := time.Duration(float64(jwtLifetime) / c.rate)
	claims := fmt.Sprintf(`{"jti":%q,"exp":%.3f}`, grant.Token.Reveal(), float64(date.Add(life).UnixMilli())/1000)
	value := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	c.births.Store(value, time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest[account] = value
	return tokensource.Grant{Token: tokensource.NewSecret(value), Date: date}, nil
}

// serves reports whether the platform takes a token: it is the newest of its
// account, and has not expired.
func (p *jwtPlatform) serves(tok *tokensource.Token) bool {
	birth, ok := p.births.Load(tok.Reveal())
	return ok && time.Since(birth.(time.Time)) < jwtLifetime && p.accepts(tok)
}

// A clockedStore is a Store whose clock runs differently from the replica's.
type clockedStore struct {
	fleet.Store

	rate float64 // of the replica's clock
}

func (s clockedStore) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	claim, err := s.Store.Claim(ctx, name, ask)
	claim.Left = time.Duration(float64(claim.Left) / s.rate)
	return claim, err
}

func (s clockedStore) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	p.TTL = time.Duration(float64(p.TTL) * s.rate)
	return s.Store.Publish(ctx, name, p)
}

// newClockedFleet returns Sources with different clocks.
func newClockedFleet(t *testing.T, p *jwtPlatform, store fleet.Store, at func(float64) clock) []*tokensource.Source {
	t.Helper()
	var sources []*tokensource.Source
	for n := range clockReplicas {
		c := at(2*float64(n)/(clockReplicas-1) - 1) // from -1 to 1
		sources = append(sources, newSource(t, clockedIssuer{p, c}, clockedStore{store, c.rate}))
	}
	return sources
}

// eachClock runs a test on a fake clock, with each set of clocks.
func eachClock(t *testing.T, test func(t *testing.T, p *jwtPlatform, newFleet func() []*tokensource.Source)) {
	t.Helper()
	for name, at := range clocks {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, healthy *platform, store *fleettest.Memory) {
				p := &jwtPlatform{platform: platform{latency: healthy.latency}}
				test(t, p, func() []*tokensource.Source { return newClockedFleet(t, p, store, at) })
			})
		})
	}
}

func TestClock_StartsIssueOnce(t *testing.T) {
	eachClock(t, func(t *testing.T, p *jwtPlatform, newFleet func() []*tokensource.Source) {
		const accounts = 20
		use := func(src *tokensource.Source) {
			for n := range accounts {
				if !p.serves(token(t, src, acct(t, n+1))) {
					t.Error("a token is not valid")
				}
			}
		}
		each(newFleet(), use)
		wantAsked(t, &p.platform, accounts, accounts)
		time.Sleep(jwtLifetime / 4)
		each(newFleet(), use) // All replicas restart.
		wantAsked(t, &p.platform, accounts, accounts)
	})
}

func TestClock_RevocationIssuesOnce(t *testing.T) {
	eachClock(t, func(t *testing.T, p *jwtPlatform, newFleet func() []*tokensource.Source) {
		sources := newFleet()
		each(sources, func(src *tokensource.Source) { token(t, src, acct(t, 1)) })
		each(sources, func(src *tokensource.Source) {
			refused := token(t, src, acct(t, 1))
			var callers sync.WaitGroup
			for range 20 {
				callers.Go(func() {
					if tok, err := src.Renew(t.Context(), refused); err != nil || !p.serves(tok) {
						t.Errorf("the renewal failed: %v", err)
					}
				})
			}
			callers.Wait()
		})
		wantAsked(t, &p.platform, 2, 2)
	})
}

// A new token ends the older ones. The fleet issues at most 1.05 tokens for
// each account and life, and no caller sees a 401. A life ends when the first
// replica renews ahead, which is after 70 % of it at the earliest.
func TestClock_SteadyHourIssuesOncePerLife(t *testing.T) {
	eachClock(t, func(t *testing.T, p *jwtPlatform, newFleet func() []*tokensource.Source) {
		const accounts, step = 4, 5 * time.Second
		sources := newFleet()
		var requests, refused atomic.Int64
		for range time.Hour / step {
			each(sources, func(src *tokensource.Source) {
				for n := range accounts {
					tok := token(t, src, acct(t, n+1))
					requests.Add(1)
					if p.serves(tok) {
						continue
					}
					refused.Add(1)
					if tok, err := src.Renew(t.Context(), tok); err != nil || !p.serves(tok) {
						t.Errorf("a caller sees a 401: %v", err)
					}
				}
			})
			time.Sleep(step)
		}
		shortest := 0.7 * jwtLifetime.Seconds() / (1 + maxDrift)
		lives := math.Ceil(time.Hour.Seconds() / shortest)
		wantAsked(t, &p.platform, accounts*(int(lives)*2/3), int(1.05*accounts*lives))
		// Without a store, nearly each request would be refused once.
		if most := int64(accounts * lives * clockReplicas); refused.Load() > most {
			t.Errorf("%d of %d requests were refused once, want at most %d", refused.Load(), requests.Load(), most)
		}
		t.Logf("%d issuances, %d of %d requests refused once", p.asked(), refused.Load(), requests.Load())
	})
}
