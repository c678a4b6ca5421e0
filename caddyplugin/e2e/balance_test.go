// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// With every option, the load balancer makes as many attempts with
// authentication as without it.
func TestRetry_SameAttemptsAsReverseProxy(t *testing.T) {
	t.Parallel()
	for name, retryMatch := range map[string]string{
		"without lb_retry_match": "",
		"with lb_retry_match":    "lb_retry_match `{rp.status_code} == 503`",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				want := attempts(t, method, retryMatch, func(p fakePlatform, dead string, more ...string) string {
					return reverseProxyWithToken(dead+" "+p.Host(), p.token(t, alice), more...)
				})
				got := attempts(t, method, retryMatch, func(p fakePlatform, dead string, more ...string) string {
					return pismoProxy(dead+" "+p.Host(), more...)
				})
				check(t, method+" requests: attempts", got, want)
			}
		})
	}
}

// An attemptCounts counts the attempts of some requests to a dead and a busy
// upstream.
type attemptCounts struct {
	all, arrived int // attempts that were made, and that reached an upstream
	busy         int // answers of the busy upstream
}

// attempts counts the attempts of a directive for ten requests.
func attempts(t *testing.T, method, retryMatch string, directive func(p fakePlatform, dead string, more ...string) string) attemptCounts {
	t.Helper()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})})
	address, dead := freeport.Address(t), freeport.Address(t)
	c := start(t, serverConfig{
		global: p.client("hosts 127.0.0.1"),
		sites:  site(address, directive(p, dead, "lb_policy round_robin", "lb_retries 3", "lb_try_interval 1ms", retryMatch)),
		env:    p.env(),
	})
	to := newClient(t, address, 1)
	var made attemptCounts
	for range 10 {
		if to.mustSend(t, method, "/busy", "").status == http.StatusServiceUnavailable {
			made.busy++
		}
	}
	made.all = strings.Count(c.logged(), `"upstream roundtrip"`)
	made.arrived = p.Counts().ResourceRequests
	return made
}

func TestReplay_OnceAcrossRetries(t *testing.T) {
	t.Parallel()
	empty, _ := passporttest.FindRefusal("empty")
	p := newPlatform(t, passporttest.Config{})
	p.Refuse(empty.Times(100))
	address, dead := freeport.Address(t), freeport.Address(t)
	start(t, serverConfig{
		global: p.client("hosts 127.0.0.1"),
		sites: site(address, pismoProxy(dead+" "+p.Host(), "lb_policy round_robin", "lb_retries 3", "lb_try_interval 1ms",
			"lb_retry_match `{rp.status_code} in [401, 502, 503]`")),
		env: p.env(),
	})
	to := newClient(t, address, 1)
	to.get(t, "/v1/accounts/"+alice)
	// Of the four attempts the load balancer makes two at each upstream.
	check(t, "requests to the platform", p.Counts().ResourceRequests, 2+1)
}

func TestPayment_DeliveredOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		trouble func(fakePlatform)
		want    map[int]int // deliveries by the status of their answer
	}{
		"beside a dead upstream": {
			func(fakePlatform) {},
			map[int]int{http.StatusCreated: 2},
		},
		"with a token that is refused before": {
			func(p fakePlatform) { p.Revoke(alice) },
			map[int]int{http.StatusCreated: 2, http.StatusUnauthorized: 2},
		},
		"that is answered by a business 401": {
			func(p fakePlatform) { p.Refuse(passporttest.MustRefusal("EUPI0120").OnPath("POST /v1/payments")) },
			map[int]int{http.StatusUnauthorized: 2},
		},
		"that is answered by 503": {
			func(p fakePlatform) {
				p.Refuse(passporttest.Refusal{Status: http.StatusServiceUnavailable}.OnPath("POST /v1/payments"))
			},
			map[int]int{http.StatusServiceUnavailable: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, passporttest.Config{})
			address, dead := freeport.Address(t), freeport.Address(t)
			start(t, serverConfig{
				global: p.client("hosts 127.0.0.1"),
				sites:  site(address, pismoProxy(dead+" "+p.Host(), "lb_policy round_robin", "lb_retries 3", "lb_try_interval 1ms")),
				env:    p.env(),
			})
			to := newClient(t, address, 1)
			to.get(t, "/v1/accounts/"+alice)
			for range 2 { // The load balancer begins with each upstream once.
				test.trouble(p)
				to.mustSend(t, http.MethodPost, "/v1/payments", `{"amount":100}`)
			}
			got := map[int]int{}
			for _, delivery := range p.Deliveries() {
				got[delivery.Status]++
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("deliveries by status: %v, want %v", got, test.want)
			}
		})
	}
}
