// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/sony/gobreaker/v2"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// recipe: retryablehttp
// newReader returns a client that retries every failure. Use it for requests
// that only read: it would send a payment again after a 503.
func newReader(authenticated http.RoundTripper) *retryablehttp.Client {
	client := retryablehttp.NewClient()
	client.Logger = nil // A logger would log URLs, which have accounts in their paths.
	client.HTTPClient = &http.Client{Transport: authenticated, Timeout: 30 * time.Second}
	client.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if wait, ok := tokensource.RetryAfter(err); tokensource.IsPermanent(err) || ok && wait > client.RetryWaitMax {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	return client
}

// end

// An outer client that retries must stop at a permanent error. After a 401 its
// request is replayed once, however often the client retries.
func TestRetryablehttp_StopsAtPermanentErrors(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	asked := 0
	authenticated, baseURL, ctx := newTransport(t, pismo), pismo.URL(), forAlice(t)
	reader := newReader(counting(authenticated, &asked))
	reader.RetryWaitMin, reader.RetryWaitMax = time.Millisecond, time.Millisecond
	for name, req := range map[string]*http.Request{
		"a host that is not listed": newRequest(ctx, t, http.MethodGet, "https://pismo.example/v1/accounts/"+alice, ""),
		"no account":                newRequest(t.Context(), t, http.MethodGet, baseURL+"/v1/accounts/"+alice, ""),
	} {
		asked = 0
		_, err := reader.Do(must(retryablehttp.FromRequest(req))(t))
		check(t, name+": permanent", tokensource.IsPermanent(err), true)
		check(t, name+": asked", asked, 1)
	}

	// A rejected account causes one token request only.
	refused := passporttest.NewServer(t, passporttest.Config{Accounts: []string{"1"}})
	asked = 0
	reader.HTTPClient.Transport = counting(newTransport(t, refused), &asked)
	_, err := reader.Do(must(retryablehttp.FromRequest(newRequest(ctx, t, http.MethodGet, refused.URL()+"/v1/accounts/"+alice, "")))(t))
	check(t, "a rejected account: permanent", tokensource.IsPermanent(err), true)
	check(t, "a rejected account: token requests", asked, 1)

	// A failing token endpoint gets one request, because its cooldown is longer
	// than the retries.
	refused.FailAlways(passporttest.RateLimited(time.Minute))
	asked = 0
	_, err = reader.Do(must(retryablehttp.FromRequest(newRequest(forAccount(t, "1"), t, http.MethodGet, refused.URL()+"/v1/accounts/1", "")))(t))
	check(t, "a cooldown: the kind", errors.Is(err, tokensource.ErrRateLimited), true)
	check(t, "a cooldown: asked", asked, 1)
}

// The attempts of the outer client are one request, which is replayed once.
func TestRetryablehttp_IsReplayedOnce(t *testing.T) {
	statuses := []int{http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusOK}
	pismo := passporttest.NewServer(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(statuses[0])
		statuses = statuses[1:]
	})})
	asked := 0
	authenticated, baseURL, ctx := newTransport(t, pismo, func(config *transport.Config) { config.MaxAttempts = 1 }), pismo.URL(), forAlice(t)
	reader := newReader(counting(authenticated, &asked))
	reader.RetryWaitMin, reader.RetryWaitMax = time.Millisecond, time.Millisecond

	// recipe: attempts
	ctx = transport.ContextWithRetryGroup(ctx, new(transport.RetryGroup))
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/v1/accounts/102681871", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := reader.Do(req)
	// end
	if err != nil {
		t.Fatal(err)
	}
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusUnauthorized) // The second 401 is not replayed.
	check(t, "asked", asked, 3)
	check(t, "answers left", len(statuses), 1)
}

// backoff around the transport waits for the time that the Source returns.
func TestBackoff_WaitsAsSourceSays(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	asked := 0
	authenticated := newTransport(t, pismo)
	client := &http.Client{Transport: counting(authenticated, &asked)}
	ask := func(ctx context.Context, url string, opts ...backoff.RetryOption) (*http.Response, error) {
		// recipe: backoff
		return backoff.Retry(ctx, func() (*http.Response, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return nil, backoff.Permanent(err)
			}
			resp, err := client.Do(req)
			if wait, ok := tokensource.RetryAfter(err); ok {
				return nil, errors.Join(err, &backoff.RetryAfterError{Duration: wait})
			}
			if tokensource.IsPermanent(err) {
				return nil, backoff.Permanent(err)
			}
			return resp, err
		}, opts...)
		// end
	}
	_, err := ask(forAlice(t), "https://pismo.example/", backoff.WithMaxTries(2))
	check(t, "a host that is not listed", isUnsent(err, transport.ErrHostNotListed), true)
	check(t, "asked", asked, 1)
	_, err = ask(t.Context(), pismo.URL(), backoff.WithMaxTries(2))
	check(t, "no account", isUnsent(err, transport.ErrNoAccount), true)
	check(t, "asked", asked, 2)

	pismo.FailAlways(passporttest.RateLimited(30 * time.Second))
	var waits []time.Duration
	_, err = ask(forAlice(t), pismo.URL(), backoff.WithMaxElapsedTime(time.Second), backoff.WithNotify(func(_ error, wait time.Duration) { waits = append(waits, wait) }))
	check(t, "the endpoint says 30 s", errors.Is(err, tokensource.ErrRateLimited), true)
	check(t, "asked", asked, 3)
	check(t, "waits", len(waits), 0)
}

// recipe: gobreaker
// newBreaker returns a breaker for client.Do. Mistakes of a caller, and callers
// that leave, do not count: other callers should not wait because of them.
func newBreaker() *gobreaker.CircuitBreaker[*http.Response] {
	return gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{
		IsExcluded: func(err error) bool {
			return tokensource.IsPermanent(err) || errors.Is(err, context.Canceled)
		},
	})
}

// end

// Requests without an account must not open the breaker for all callers.
func TestGobreaker_OpensForNoMistake(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{Accounts: []string{alice}})
	client, baseURL := &http.Client{Transport: newTransport(t, pismo)}, pismo.URL()
	breaker := newBreaker()
	do := func(req *http.Request) (*http.Response, error) {
		// recipe: gobreaker-do
		resp, err := breaker.Execute(func() (*http.Response, error) { return client.Do(req) })
		// end
		return resp, err
	}
	for range 10 {
		for _, req := range []*http.Request{
			newRequest(t.Context(), t, http.MethodGet, baseURL, ""),
			newRequest(forAlice(t), t, http.MethodGet, "https://pismo.example/", ""),
			newRequest(forAccount(t, "2"), t, http.MethodGet, baseURL, ""),
		} {
			if _, err := do(req); !tokensource.IsPermanent(err) {
				t.Fatalf("got %v, want a permanent error", err)
			}
		}
	}
	check(t, "state", breaker.State(), gobreaker.StateClosed)
	resp := must(do(newRequest(forAlice(t), t, http.MethodGet, baseURL+"/v1/accounts/"+alice, "")))(t)
	_ = read(t, resp)
	check(t, "status", resp.StatusCode, http.StatusOK)
}

// backoff does that itself.
func TestGobreaker_OpensForMistakesByDefault(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	client := &http.Client{Transport: newTransport(t, pismo)}
	breaker := gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{})
	for range 6 {
		_, _ = breaker.Execute(func() (*http.Response, error) {
			return client.Do(newRequest(t.Context(), t, http.MethodGet, pismo.URL(), ""))
		})
	}
	check(t, "state", breaker.State(), gobreaker.StateOpen)
}

// A breaker that counts failed connections belongs below the transport. An open
// breaker gets one attempt, without retries.
func TestGobreaker_OpenIsAskedOnceBeneath(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{})
	dialled, asked := 0, 0
	base := transport.NewBase()
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		dialled++
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}

	// recipe: gobreaker-below
	breaker := gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{})
	guarded := roundTripper(func(req *http.Request) (*http.Response, error) {
		return breaker.Execute(func() (*http.Response, error) { return base.RoundTrip(req) })
	})
	// end
	authenticated := newTransport(t, pismo, over(counting(guarded, &asked)))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for breaker.State() != gobreaker.StateOpen {
			_, err := authenticated.RoundTrip(newRequest(forAlice(t), t, method, pismo.URL(), ""))
			check(t, "the connection is refused", errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, gobreaker.ErrOpenState), true)
		}
		asked, dialled = 0, 0
		_, err := authenticated.RoundTrip(newRequest(forAlice(t), t, method, pismo.URL(), ""))
		check(t, method+": open", errors.Is(err, gobreaker.ErrOpenState), true)
		check(t, method+": asked", asked, 1)
		check(t, method+": dialled", dialled, 0)
	}
}
