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

// Clocks are those of a fleet and of its store. All replicas of a test have the
// fake clock of the test. So the rest of the world differs instead.
type clocks struct {
	ahead float64 // how far the endpoint's clock is ahead, in parts of maxAhead
	drift float64 // of the replica's clock, in parts of maxDrift
	store float64 // of the store's clock, in parts of maxDrift
}

const (
	clockReplicas = 50
	jwtLifetime   = 400 * time.Second // It is not the default.
	maxAhead      = 10 * time.Minute
	maxDrift      = 0.02
)

// clockSets return the clocks of the replicas, which have parts from -1 to 1.
var clockSets = map[string]func(part float64) clocks{
	"equal":          func(float64) clocks { return clocks{} },
	"10 minutes off": func(part float64) clocks { return clocks{ahead: part} },
	"drift by 2 %":   func(part float64) clocks { return clocks{drift: part} },
	"fast store":     func(float64) clocks { return clocks{store: 1} },
	"slow store":     func(float64) clocks { return clocks{store: -1} },
	"all of it":      func(part float64) clocks { return clocks{ahead: -part, drift: part, store: -1} },
}

// scaled returns d as a clock with a drift measures it.
func scaled(d time.Duration, drift float64) time.Duration {
	return time.Duration(float64(d) * (1 + drift*maxDrift))
}

// A jwtPlatform grants JWTs that state only exp, so that the Date of the
// response decides how long they live.
type jwtPlatform struct {
	platform

	births sync.Map // when a token was issued, by value
}

// An endpoint is the platform by a clock that is ahead of the replica's.
type endpoint struct {
	*jwtPlatform

	ahead time.Duration
}

func (e endpoint) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	grant, err := e.platform.Issue(ctx, account)
	if err != nil {
		return grant, err
	}
	date := time.Now().Add(e.ahead)
	claims := fmt.Sprintf(`{"jti":%q,"exp":%.3f}`, grant.Token.Reveal(), float64(date.Add(jwtLifetime).UnixMilli())/1000)
	value := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	e.births.Store(value, time.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.newest[account] = value
	return tokensource.Grant{Token: tokensource.NewSecret(value), Date: date}, nil
}

// serves reports whether the platform takes a token: it is the newest of its
// account, and has not expired.
func (p *jwtPlatform) serves(tok *tokensource.Token) bool {
	birth, ok := p.births.Load(tok.Reveal())
	return ok && time.Since(birth.(time.Time)) < jwtLifetime && p.accepts(tok)
}

// A driftingIssuer makes a Source count the life of a token by a clock with a
// drift. With a fast clock, the life is over sooner.
type driftingIssuer struct {
	*fleet.Issuer

	drift float64
}

func (i driftingIssuer) Reissue(ctx context.Context, need tokensource.Need) (tokensource.Grant, error) {
	grant, err := i.Issuer.Reissue(ctx, need)
	if err != nil {
		return grant, err
	}
	life, err := grant.Verify(need.Account)
	shorter := life - scaled(life, -i.drift) // The claim exp stays, so its distance to Date changes.
	grant.Date, grant.Age = grant.Date.Add(shorter), scaled(grant.Age, -i.drift)
	return grant, err
}

// A driftingStore is a Store whose own clock has a drift. Like Redis, it counts
// in whole milliseconds.
type driftingStore struct {
	fleet.Store

	drift float64
}

func (s driftingStore) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	ask.Lease = scaled(ask.Lease, -s.drift)
	claim, err := s.Store.Claim(ctx, name, ask)
	claim.Left = scaled(claim.Left, s.drift).Truncate(time.Millisecond)
	return claim, err
}

func (s driftingStore) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	p.TTL = scaled(p.TTL, -s.drift)
	return s.Store.Publish(ctx, name, p)
}

// newClockedFleet returns Sources with different clocks.
func newClockedFleet(t *testing.T, p *jwtPlatform, store fleet.Store, at func(float64) clocks) []*tokensource.Source {
	t.Helper()
	var sources []*tokensource.Source
	for n := range clockReplicas {
		c := at(2*float64(n)/(clockReplicas-1) - 1)
		shared, err := fleet.New(fleet.Config{
			Issuer: endpoint{p, time.Duration(c.ahead * float64(maxAhead))},
			Store:  driftingStore{store, c.store},
			Key:    keyOf(secret),
		})
		if err != nil {
			t.Fatal(err)
		}
		src, err := tokensource.New(tokensource.Config{Issuer: driftingIssuer{shared, c.drift}})
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, src)
	}
	return sources
}

// eachClock runs a test on a fake clock, with each set of clocks.
func eachClock(t *testing.T, test func(t *testing.T, p *jwtPlatform, newFleet func() []*tokensource.Source)) {
	t.Helper()
	for name, at := range clockSets {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, healthy *platform, store *fleettest.Memory) {
				time.Sleep(24 * time.Hour) // The fake clock starts where exp is no date yet.
				p := &jwtPlatform{platform: platform{latency: healthy.latency}}
				test(t, p, func() []*tokensource.Source { return newClockedFleet(t, p, store, at) })
			})
		})
	}
}

func TestClock_StartsIssueOnce(t *testing.T) {
	eachClock(t, func(t *testing.T, p *jwtPlatform, newFleet func() []*tokensource.Source) {
		const accounts = 20
		start := func() {
			var all sync.WaitGroup
			for replica, src := range newFleet() {
				for n := range accounts {
					all.Go(func() {
						// For each account, another replica is the first.
						time.Sleep(time.Duration((replica+7*n)%clockReplicas) * time.Millisecond)
						if !p.serves(token(t, src, acct(t, n+1))) {
							t.Error("a token is not valid")
						}
					})
				}
			}
			all.Wait()
			wantAsked(t, &p.platform, accounts, accounts)
		}
		start()
		time.Sleep(jwtLifetime / 4)
		start() // All replicas restart.
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
