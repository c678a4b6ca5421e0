// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

const (
	lifetime = 600 * time.Second
	secret   = "a secret of more than 16 bytes"
)

// A platform is a token endpoint. It grants opaque tokens after a latency, and
// knows the newest token of each account.
type platform struct {
	latency time.Duration
	age     time.Duration // of the tokens that it grants

	mu     sync.Mutex
	err    error
	calls  int
	issued map[tokensource.Account]int
	newest map[tokensource.Account]string
}

func (p *platform) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	p.mu.Lock()
	p.calls++
	p.mu.Unlock()
	select {
	case <-time.After(p.latency):
	case <-ctx.Done():
		return tokensource.Grant{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return tokensource.Grant{}, p.err
	}
	if p.issued == nil {
		p.issued, p.newest = map[tokensource.Account]int{}, map[tokensource.Account]string{}
	}
	p.issued[account]++
	value := "token-" + account.ID() + "-" + strconv.Itoa(p.calls)
	p.newest[account] = value
	return tokensource.Grant{Token: tokensource.NewSecret(value), ExpiresIn: lifetime, Age: p.age}, nil
}

// accepts reports whether a token is the newest of its account.
func (p *platform) accepts(t *tokensource.Token) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest[t.Account()] == t.Reveal()
}

func (p *platform) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// asked returns the number of calls.
func (p *platform) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func wantAsked(t *testing.T, p *platform, least, most int) {
	t.Helper()
	if n := p.asked(); n < least || n > most {
		t.Errorf("the endpoint was asked %d times, want %d to %d", n, least, most)
	}
}

func keyOf(value string) func(context.Context) (tokensource.Secret, error) {
	return func(context.Context) (tokensource.Secret, error) { return tokensource.NewSecret(value), nil }
}

// newSource returns a Source of one process of a fleet.
func newSource(t *testing.T, p tokensource.Issuer, store fleet.Store, edits ...func(*fleet.Config)) *tokensource.Source {
	t.Helper()
	config := fleet.Config{Issuer: p, Store: store, Key: keyOf(secret), Scope: "test"}
	for _, edit := range edits {
		edit(&config)
	}
	issuer, err := fleet.New(config)
	if err != nil {
		t.Fatal(err)
	}
	src, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// newFleet returns the Sources of n processes with one store.
func newFleet(t *testing.T, n int, p tokensource.Issuer, store fleet.Store) []*tokensource.Source {
	t.Helper()
	sources := make([]*tokensource.Source, n)
	for i := range sources {
		sources[i] = newSource(t, p, store)
	}
	return sources
}

func acct(t *testing.T, n int) tokensource.Account {
	t.Helper()
	account, err := tokensource.ParseAccountID(strconv.Itoa(n))
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func token(t *testing.T, src *tokensource.Source, account tokensource.Account) *tokensource.Token {
	t.Helper()
	tok, err := src.Token(t.Context(), account)
	if err != nil {
		t.Fatal("Token:", err)
	}
	return tok
}

// each calls f for each Source concurrently, and waits.
func each(sources []*tokensource.Source, f func(*tokensource.Source)) {
	var all sync.WaitGroup
	for _, src := range sources {
		all.Go(func() { f(src) })
	}
	all.Wait()
}

// bubble runs a test on a fake clock until all issuances have ended.
func bubble(t *testing.T, test func(t *testing.T, p *platform, store *fleettest.Memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(20 * time.Second)
		test(t, &platform{latency: 30 * time.Millisecond}, &fleettest.Memory{})
	})
}
