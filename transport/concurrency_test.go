// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// concurrently calls do n times concurrently.
func concurrently(n int, do func(i int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { do(i) })
	}
	running.Wait()
}

func TestReplay_OneIssuancePerRevocation(t *testing.T) {
	const callers = 1000
	for _, test := range []struct {
		name     string
		spread   time.Duration // time over which the callers start
		latency  time.Duration // largest latency of the platform
		issuance time.Duration
	}{
		{"at once", 0, 0, 0},
		{"staggered", 200 * time.Millisecond, 0, 0},
		{"staggered, slow issuance", 200 * time.Millisecond, 0, 200 * time.Millisecond},
		{"at once, slow issuance", 0, 0, 200 * time.Millisecond},
		{"overtaking each other", 200 * time.Millisecond, 50 * time.Millisecond, 20 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &fakeIssuer{}
				m.before = func(context.Context) error { sleep(test.issuance); return nil }
				w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
					// The platform checks the token before or after its latency, so answers
					// arrive in any order.
					if s.number%2 == 0 {
						sleep(rand.N(test.latency + 1))
					}
					resp, err := m.answer(s)
					sleep(rand.N(test.latency + 1))
					return resp, err
				}}
				rt := newTransport(t, m, w)
				get(t, rt, target)
				m.revoke()
				concurrently(callers, func(i int) {
					sleep(time.Duration(i) * test.spread / callers)
					method := []string{http.MethodGet, http.MethodPost}[i%2]
					r, err := trySend(rt, newRequest(t, method, target, strings.NewReader("payment")))
					if err != nil || r.status != http.StatusOK {
						t.Errorf("got status %d, error %v", r.status, err)
					}
				})
				wantIssued(t, m, 2)
			})
		})
	}
}

func TestReplay_OneIssuanceOverRealConnections(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(http.ResponseWriter, *http.Request) {}))
	rt := newTransport(t, m, transport.NewBase(), listing(server))
	get(t, rt, server.URL)
	m.revoke()
	concurrently(1000, func(int) {
		r, err := trySend(rt, newRequest(t, http.MethodPost, server.URL, strings.NewReader("payment")))
		if err != nil || r.status != http.StatusOK {
			t.Errorf("got status %d, error %v", r.status, err)
		}
	})
	wantIssued(t, m, 2)
}

// go-containerregistry requests sixteen tokens.
func TestReplay_Sixteen401sCostOneIssuance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		var refused sync.WaitGroup
		refused.Add(16)
		w := &fakeBase{}
		w.answer = func(s sentRequest) (*http.Response, error) {
			resp, err := m.answer(s)
			if resp.StatusCode == http.StatusUnauthorized {
				refused.Done()
				refused.Wait() // All requests are refused before the first 401 is sent.
			}
			return resp, err
		}
		rt := newTransport(t, m, w)
		get(t, rt, target)
		m.revoke()
		concurrently(16, func(int) {
			if r, err := trySend(rt, newRequest(t, http.MethodGet, target, nil)); err != nil || r.status != http.StatusOK {
				t.Errorf("got status %d, error %v", r.status, err)
			}
		})
		wantIssued(t, m, 2)
	})
}

// Eight refusals in a row during traffic made azcore request eight to ten
// tokens.
func TestReplay_Late401CostsNoIssuance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{}
		w.answer = func(s sentRequest) (*http.Response, error) {
			resp, err := m.answer(s)
			if strings.HasSuffix(s.url, "/slow") {
				sleep(time.Duration(s.number) * time.Second)
			}
			return resp, err
		}
		rt := newTransport(t, m, w)
		get(t, rt, target)
		m.revoke()
		concurrently(9, func(i int) {
			url := target
			if i > 0 { // These refusals arrive after the new token is in use.
				url += "/slow"
			}
			if r, err := trySend(rt, newRequest(t, http.MethodGet, url, nil)); err != nil || r.status != http.StatusOK {
				t.Errorf("got status %d, error %v", r.status, err)
			}
		})
		wantIssued(t, m, 2)
	})
}

// Requests overtake each other. A success of the same token says nothing about
// a refusal of a request that was sent before.
func TestRefusal_CountsDespiteLaterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{}
		w.answer = func(s sentRequest) (*http.Response, error) {
			if strings.HasSuffix(s.url, "/slow") && s.number == 2 {
				sleep(time.Second)
				m.revoke()
			}
			return m.answer(s)
		}
		rt := newTransport(t, m, w)
		get(t, rt, target)
		concurrently(2, func(i int) {
			sleep(time.Duration(i) * time.Millisecond)
			url := target
			if i == 0 {
				url += "/slow"
			}
			if r, err := trySend(rt, newRequest(t, http.MethodPost, url, nil)); err != nil || r.status != http.StatusOK {
				t.Errorf("%s: got status %d, error %v", url, r.status, err)
			}
		})
		wantIssued(t, m, 2)
	})
}

// azcore uses the refused token for requests that arrive during a renewal. In a
// storm, a quarter of all requests were useless.
func TestRenewal_HoldsBackOtherRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		m.before = func(context.Context) error { sleep(200 * time.Millisecond); return nil }
		w := &fakeBase{}
		w.answer = m.answer
		rt := newTransport(t, m, w)
		get(t, rt, target)
		m.revoke()
		concurrently(101, func(i int) {
			sleep(time.Duration(i) * time.Millisecond)
			if r, err := trySend(rt, newRequest(t, http.MethodGet, target, nil)); err != nil || r.status != http.StatusOK {
				t.Errorf("got status %d, error %v", r.status, err)
			}
		})
		wantSent(t, w, 1+1+101)
		wantIssued(t, m, 2)
	})
}

// In docker/hub-feedback#647, issuances and 401s followed each other without
// end.
func TestBudget_BrokenEndpointStopsNoOther(t *testing.T) {
	m := &fakeIssuer{}
	w := &fakeBase{}
	w.answer = func(s sentRequest) (*http.Response, error) {
		if strings.HasSuffix(s.url, "/broken") {
			return respond(http.StatusUnauthorized, ""), nil
		}
		return m.answer(s)
	}
	rt := newTransport(t, m, w)
	for i := range 1000 {
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		r := send(t, rt, newRequest(t, method, target+"/broken", nil))
		if r.status != http.StatusUnauthorized || r.verdict != transport.TokenRefused {
			t.Fatalf("request %d: got %+v, want the 401", i, r)
		}
		if r := send(t, rt, newRequest(t, method, target, nil)); r.status != http.StatusOK {
			t.Fatalf("request %d to another endpoint: got status %d, want 200", i, r.status)
		}
	}
	if n := m.issuances(); n > 4 {
		t.Errorf("%d tokens were issued, want at most 4", n)
	}
}

// An endpoint that always answers 401 must not stop concurrent requests to
// other endpoints.
func TestBudget_BrokenEndpointUnderConcurrency(t *testing.T) {
	m := &fakeIssuer{}
	w := &fakeBase{}
	w.answer = func(s sentRequest) (*http.Response, error) {
		if strings.HasSuffix(s.url, "/broken") {
			return respond(http.StatusUnauthorized, `{"code":"unknown"}`), nil
		}
		return m.answer(s)
	}
	rt := newTransport(t, m, w)
	concurrently(200, func(i int) {
		want, url := http.StatusOK, target
		if i%2 == 0 {
			want, url = http.StatusUnauthorized, target+"/broken"
		}
		for range 10 {
			r, err := trySend(rt, newRequest(t, http.MethodPost, url, nil))
			if err != nil || r.status != want {
				t.Errorf("got status %d, error %v; want %d", r.status, err, want)
			}
		}
	})
	if n := m.issuances(); n > 4 {
		t.Errorf("%d tokens were issued, want at most 4", n)
	}
}

func TestAccount_NeverGetsAnothersToken(t *testing.T) {
	const accounts, callers = 8, 400
	m := &fakeIssuer{}
	var mixedUp atomic.Int32
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
		// Another endpoint may have refused the token in between.
		if account, good := m.account(r.Header); good && "/"+account.ID() != r.URL.Path {
			mixedUp.Add(1)
		}
		if rand.N(200) == 0 {
			m.revoke()
		}
		w.WriteHeader([]int{http.StatusOK, http.StatusServiceUnavailable}[rand.N(20)/19])
	}))
	rt := newTransport(t, m, transport.NewBase(), listing(server), noDefaultAccount)
	concurrently(callers, func(i int) {
		id := strconv.Itoa(1 + i%accounts)
		ctx := tokensource.ContextWithAccount(t.Context(), acct(t, id))
		for range 10 {
			req := newRequest(t, http.MethodPost, server.URL+"/"+id, strings.NewReader("payment")).WithContext(ctx)
			if _, err := trySend(rt, req); err != nil {
				t.Error(err)
			}
		}
	})
	if n := mixedUp.Load(); n > 0 {
		t.Errorf("%d requests were sent with the token of another account", n)
	}
}
