// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// shortLifetime is the lifetime of the tokens in the step renewedAhead. All
// other tokens live longer than the demo takes.
const shortLifetime = 5 * time.Second

// A demoServers is a fake of the platform with a proxy in front of it.
type demoServers struct {
	fake  *passporttest.Server
	proxy *httptest.Server
}

// startDemoServers starts a fake server and a proxy. The fake server's tokens
// have the given lifetime; 0 means 10 minutes.
func startDemoServers(log *slog.Logger, login *login, count *eventCounters, lifetime time.Duration) (*demoServers, error) {
	fake, err := passporttest.Start(passporttest.Config{Lifetime: lifetime, TokenLatency: 20 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	handler, err := newProxy(log, platform.FromFakeServer(fake), login, newEvents(log, count), nil)
	if err != nil {
		fake.Close()
		return nil, err
	}
	return &demoServers{fake, httptest.NewServer(handler)}, nil
}

func (s *demoServers) close() {
	s.proxy.Close()
	s.fake.Close()
}

// A demonstration is the state of a running demo.
type demonstration struct {
	*demoServers

	log        *slog.Logger
	shortLived *demoServers // servers whose tokens live for shortLifetime
	login      *login
	counters   *eventCounters // of both proxies
	table      []stepResult
}

// demo demonstrates the features of the proxy step by step, and checks the
// figures of each step. It always uses a fake server, and listens on a free
// port.
func demo(log *slog.Logger, accounts map[string]string) error {
	d := &demonstration{log: log, login: newLogin(accounts), counters: new(eventCounters)}
	var err error
	if d.demoServers, err = startDemoServers(log, d.login, d.counters, 0); err != nil {
		return err
	}
	defer d.close()
	if d.shortLived, err = startDemoServers(log, d.login, d.counters, shortLifetime); err != nil {
		return err
	}
	defer d.shortLived.close()
	d.firstToken()
	d.cached()
	d.renewedAhead()
	d.revoked()
	d.businessAnswer()
	d.twoAccounts()
	d.unauthenticated()
	d.outage()
	return d.printTable(os.Stdout)
}

func (d *demonstration) firstToken() {
	d.step("100 at once, no token yet", stepCounts{requests: 100, issuances: 1}, func() stepCounts {
		return d.read(100)
	})
}

func (d *demonstration) cached() {
	d.step("200 more, one after another", stepCounts{requests: 200}, func() stepCounts {
		var sum stepCounts
		for range 200 {
			sum.add(d.read(1))
		}
		return sum
	})
}

// renewedAhead sends requests until a short-lived token has been renewed before
// its expiry.
func (d *demonstration) renewedAhead() {
	d.step("time passes: renewed before expiry", stepCounts{requests: asNeeded, issuances: 2}, func() stepCounts {
		before := d.counters.issuances.Load()
		shortLived := *d
		shortLived.demoServers = d.shortLived
		var sum stepCounts
		for begin := time.Now(); d.counters.issuances.Load() < before+2 && time.Since(begin) < 10*shortLifetime; {
			sum.add(shortLived.read(1))
			time.Sleep(shortLifetime / 100)
		}
		return sum
	})
}

func (d *demonstration) revoked() {
	d.step("revoked: renewed and replayed", stepCounts{requests: 1, issuances: 1, replays: 1}, func() stepCounts {
		d.fake.RevokeAll()
		return d.send(alice, http.MethodPost, "/v1/payments", http.StatusCreated)
	})
}

func (d *demonstration) businessAnswer() {
	d.step("a 401 that is a business answer", stepCounts{requests: 1, passed: 1}, func() stepCounts {
		return d.send(alice, http.MethodPost, "/v1/refusals/EUPI0120", http.StatusUnauthorized)
	})
}

// twoAccounts makes each user read both accounts. The other user's account is
// answered 401.
func (d *demonstration) twoAccounts() {
	d.step("two users, each with an account", stepCounts{requests: 4, issuances: 1, passed: 2}, func() stepCounts {
		var sum stepCounts
		sum.add(d.send(alice, http.MethodGet, d.account(alice), http.StatusOK))
		sum.add(d.send(alice, http.MethodGet, d.account(bob), http.StatusUnauthorized))
		sum.add(d.send(bob, http.MethodGet, d.account(bob), http.StatusOK))
		sum.add(d.send(bob, http.MethodGet, d.account(alice), http.StatusUnauthorized))
		return sum
	})
}

// unauthenticated sends a request without a login. The request must not reach
// the platform.
func (d *demonstration) unauthenticated() {
	d.step("without a login: refused", stepCounts{requests: 1}, func() stepCounts {
		before := d.fake.Counts()
		sum := d.send("", http.MethodGet, d.account(alice), http.StatusUnauthorized)
		if d.fake.Counts().ResourceRequests != before.ResourceRequests {
			sum.failures++
		}
		return sum
	})
}

// outage makes the token endpoint fail. Requests succeed with the cached token.
func (d *demonstration) outage() {
	d.step("token endpoint down, token valid", stepCounts{requests: 50}, func() stepCounts {
		d.fake.FailAlways(passporttest.Status(http.StatusInternalServerError))
		defer d.fake.Heal()
		return d.read(50)
	})
}

// account returns the path of a user's account.
func (d *demonstration) account(user string) string { return "/v1/accounts/" + d.login.accounts[user] }

// read sends n concurrent requests of alice for her account.
func (d *demonstration) read(n int) stepCounts {
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		sum stepCounts
	)
	for range n {
		all.Go(func() {
			counts := d.send(alice, http.MethodGet, d.account(alice), http.StatusOK)
			mu.Lock()
			defer mu.Unlock()
			sum.add(counts)
		})
	}
	all.Wait()
	return sum
}

// send sends one request through the proxy, as a user or, if user is empty,
// without a login. Any status other than want is a failure.
func (d *demonstration) send(user, method, path string, want int) stepCounts {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, err := d.status(ctx, user, method, path)
	if err == nil && status != want {
		err = fmt.Errorf("%s %s as %q: status %d, want %d", method, path, user, status, want)
	}
	if err != nil {
		d.log.Error("request failed", "error", err)
		return stepCounts{requests: 1, failures: 1}
	}
	return stepCounts{requests: 1}
}

// status returns the status of the answer to one request.
func (d *demonstration) status(ctx context.Context, user, method, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.proxy.URL+path, strings.NewReader(`{"amount":100}`))
	if err != nil {
		return 0, err
	}
	if token, ok, err := d.login.token(user); err != nil {
		return 0, err
	} else if ok {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// step runs one step, and records its result.
func (d *demonstration) step(name string, want stepCounts, run func() stepCounts) {
	d.log.Info("— " + name)
	before := d.counters.counts()
	got := run()
	after := d.counters.counts()
	got.issuances = after.issuances - before.issuances
	got.replays = after.replays - before.replays
	got.passed = after.passed - before.passed
	if want.requests == asNeeded {
		want.requests = got.requests
	}
	d.table = append(d.table, stepResult{name, got, want})
}
