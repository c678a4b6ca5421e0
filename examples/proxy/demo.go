package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// shortLifetime is that of the tokens that are to be seen renewed before they
// expire. All others live longer than the demo takes on any machine.
const shortLifetime = 5 * time.Second

// A demoServers is a fake of the platform with a proxy in front of it.
type demoServers struct {
	fake  *passporttest.Server
	proxy *httptest.Server
}

// startDemoServers sets a stage up. The tokens of its fake server live for that long; 0
// means
// 10 minutes.
func startDemoServers(log *slog.Logger, login *login, count *eventCounters, lifetime time.Duration) (*demoServers, error) {
	fake, err := passporttest.Start(passporttest.Config{Lifetime: lifetime, Latency: 20 * time.Millisecond})
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

// A demonstration is a demonstration on its way.
type demonstration struct {
	*demoServers

	log        *slog.Logger
	shortLived *demoServers // where tokens live for lifetime
	login      *login
	counters   *eventCounters // on both stages
	table      []stepResult
}

// A stepResult is what one step of the walk came to, and what it had to.
type stepResult struct {
	step      string
	got, want stepCounts
}

type stepCounts struct{ requests, issuances, replays, passed, failures int }

// asNeeded is how many requests a step wants that makes as many as it needs.
const asNeeded = -1

// demo walks through what the proxy does, and checks the figures of each step.
// It always talks to a fake server, and listens on a port that is free.
func demo(log *slog.Logger, accounts map[string]string) error {
	w := &demonstration{log: log, login: newLogin(accounts), counters: new(eventCounters)}
	var err error
	if w.demoServers, err = startDemoServers(log, w.login, w.counters, 0); err != nil {
		return err
	}
	defer w.close()
	if w.shortLived, err = startDemoServers(log, w.login, w.counters, shortLifetime); err != nil {
		return err
	}
	defer w.shortLived.close()
	w.firstToken()
	w.cached()
	w.renewedAhead()
	w.revoked()
	w.businessAnswer()
	w.twoAccounts()
	w.unauthenticated()
	w.outage()
	return w.printTable(os.Stdout)
}

func (w *demonstration) firstToken() {
	w.step("100 at once, no token yet", stepCounts{requests: 100, issuances: 1}, func() stepCounts {
		return w.read(100)
	})
}

func (w *demonstration) cached() {
	w.step("200 more, one after another", stepCounts{requests: 200}, func() stepCounts {
		var sum stepCounts
		for range 200 {
			sum.add(w.read(1))
		}
		return sum
	})
}

// renewedAhead asks now and then for a token that does not live long, until another
// has taken its place.
func (w *demonstration) renewedAhead() {
	w.step("time passes: renewed before expiry", stepCounts{requests: asNeeded, issuances: 2}, func() stepCounts {
		before := w.counters.issuances.Load()
		there := *w
		there.demoServers = w.shortLived
		var sum stepCounts
		for begin := time.Now(); w.counters.issuances.Load() < before+2 && time.Since(begin) < 10*shortLifetime; {
			sum.add(there.read(1))
			time.Sleep(shortLifetime / 100)
		}
		return sum
	})
}

func (w *demonstration) revoked() {
	w.step("revoked: renewed, and replayed", stepCounts{requests: 1, issuances: 1, replays: 1}, func() stepCounts {
		w.fake.RevokeAll()
		return w.send(alice, http.MethodPost, "/v1/payments", http.StatusCreated)
	})
}

func (w *demonstration) businessAnswer() {
	w.step("a 401 that is a business answer", stepCounts{requests: 1, passed: 1}, func() stepCounts {
		return w.send(alice, http.MethodPost, "/v1/refusals/EUPI0120", http.StatusUnauthorized)
	})
}

// twoAccounts has each user read both accounts: their own they get, the other's
// they do not.
func (w *demonstration) twoAccounts() {
	w.step("two users, each with an account", stepCounts{requests: 4, issuances: 1, passed: 2}, func() stepCounts {
		var sum stepCounts
		sum.add(w.send(alice, http.MethodGet, w.account(alice), http.StatusOK))
		sum.add(w.send(alice, http.MethodGet, w.account(bob), http.StatusUnauthorized))
		sum.add(w.send(bob, http.MethodGet, w.account(bob), http.StatusOK))
		sum.add(w.send(bob, http.MethodGet, w.account(alice), http.StatusUnauthorized))
		return sum
	})
}

// unauthenticated asks without having logged in. That does not get as far as the
// platform.
func (w *demonstration) unauthenticated() {
	w.step("nobody: not let in", stepCounts{requests: 1}, func() stepCounts {
		before := w.fake.Counts()
		sum := w.send("", http.MethodGet, w.account(alice), http.StatusUnauthorized)
		if w.fake.Counts().ResourceRequests != before.ResourceRequests {
			sum.failures++
		}
		return sum
	})
}

// outage takes the token endpoint away. While the token lives, nobody notices.
func (w *demonstration) outage() {
	w.step("token endpoint down, token alive", stepCounts{requests: 50}, func() stepCounts {
		w.fake.FailAlways(passporttest.Status(http.StatusInternalServerError))
		defer w.fake.Heal()
		return w.read(50)
	})
}

// account returns the path of a user's account.
func (w *demonstration) account(user string) string { return "/v1/accounts/" + w.login.accounts[user] }

// read has alice read her account n times at once.
func (w *demonstration) read(n int) stepCounts {
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		sum stepCounts
	)
	for range n {
		all.Go(func() {
			one := w.send(alice, http.MethodGet, w.account(alice), http.StatusOK)
			mu.Lock()
			defer mu.Unlock()
			sum.add(one)
		})
	}
	all.Wait()
	return sum
}

// send sends one request through the proxy, as a user or as nobody. Anything
// but the wanted status is a failure.
func (w *demonstration) send(user, method, path string, want int) stepCounts {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, err := w.status(ctx, user, method, path)
	if err == nil && status != want {
		err = fmt.Errorf("%s %s as %q: status %d, want %d", method, path, user, status, want)
	}
	if err != nil {
		w.log.Error("request failed", "error", err)
		return stepCounts{requests: 1, failures: 1}
	}
	return stepCounts{requests: 1}
}

// status returns the status of the answer to one request.
func (w *demonstration) status(ctx context.Context, user, method, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.proxy.URL+path, strings.NewReader(`{"amount":100}`))
	if err != nil {
		return 0, err
	}
	if token, ok, err := w.login.token(user); err != nil {
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

// step runs one step, and notes what it came to.
func (w *demonstration) step(name string, want stepCounts, run func() stepCounts) {
	w.log.Info("— " + name)
	before := w.counters.counts()
	got := run()
	after := w.counters.counts()
	got.issuances = after.issuances - before.issuances
	got.replays = after.replays - before.replays
	got.passed = after.passed - before.passed
	if want.requests == asNeeded {
		want.requests = got.requests
	}
	w.table = append(w.table, stepResult{name, got, want})
}

func (f *eventCounters) counts() stepCounts {
	return stepCounts{issuances: int(f.issuances.Load()), replays: int(f.replays.Load()), passed: int(f.passed.Load())}
}

func (t *stepCounts) add(other stepCounts) {
	t.requests += other.requests
	t.failures += other.failures
}

// printTable prints the table. It fails if a figure is not what it has to be, or if
// the fake servers have counted another number of tokens than the proxy.
func (w *demonstration) printTable(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\nstep\trequests\tissuances\treplays\t401 passed on\tfailures\t\t")
	wrong := false
	issued := 0
	for _, r := range w.table {
		mark := "ok"
		if r.got != r.want {
			wrong = true
			mark = fmt.Sprintf("WRONG, want %+v", r.want)
		}
		issued += r.got.issuances
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.step, r.got.requests, r.got.issuances, r.got.replays, r.got.passed, r.got.failures, mark)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if made := w.fake.Counts().Issued + w.shortLived.fake.Counts().Issued; made != issued {
		return fmt.Errorf("the fake servers have issued %d tokens, the proxies have seen %d", made, issued)
	}
	if wrong {
		return errors.New("the figures are not as they must be")
	}
	return nil
}
