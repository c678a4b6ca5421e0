// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A storeStatus is the state of a client's store, as the admin API returns it.
type storeStatus struct{ Adopted, Poisoned, Succeeded, Failed, Skipped int }

func (c *server) storeStatus() storeStatus {
	c.tb.Helper()
	var clients []struct{ Store storeStatus }
	if err := json.Unmarshal([]byte(c.get("/pismo/clients")), &clients); err != nil || len(clients) != 1 {
		c.tb.Fatalf("%d clients, error %v", len(clients), err)
	}
	return clients[0].Store
}

// Two Caddys with one storage issue each token once, while one after the other
// reloads. A starved process goes on without the store, and may then issue a
// token again: each such operation is counted.
func TestFleet_SharesTokensInStorage(t *testing.T) {
	t.Parallel()
	var tokens sync.Map // that reached the platform
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tokens.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), true)
	})})
	storage := t.TempDir()
	addresses := []string{freeport.Address(t), freeport.Address(t)}
	var servers []*server
	var configs []serverConfig
	for _, address := range addresses {
		s := serverConfig{
			global: "storage file_system " + storage + "\n" + p.client("store caddy"),
			sites: block("http://"+address, "bind 127.0.0.1", block("map {http.request.header.X-Account} {account}", `~^(\d+)$ "${1}"`),
				pismoProxy(p.Host())) + "\n",
			env: p.env(),
		}
		configs, servers = append(configs, s), append(servers, start(t, s))
	}

	const accounts = 10
	clients := []*client{newClient(t, addresses[0], connections), newClient(t, addresses[1], connections)}
	l := startLoad(t, connections, func(worker, n int) error {
		account := strconv.Itoa(102681871 + (worker+n/2)%accounts)
		to := clients[n%len(clients)]
		got, err := to.send(http.MethodGet, "/v1/accounts/"+account, nil, "X-Account", account)
		for n := 0; isClosedBeforeAnswer(err) && n < connections; n++ {
			got, err = to.send(http.MethodGet, "/v1/accounts/"+account, nil, "X-Account", account)
		}
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", got.status, got.body)
		}
		return err
	})
	for range 3 {
		for i, c := range servers {
			l.awaitMore(t, 2*accounts)
			if err := c.load(configs[i]); err != nil {
				t.Error(err)
			}
		}
	}
	l.awaitMore(t, 2*accounts)
	if _, err := l.stop(); err != nil {
		t.Error(err)
	}

	without, adopted := 0, 0
	for _, c := range servers {
		got := c.storeStatus()
		without += got.Failed + got.Skipped
		adopted += got.Adopted
		if got.Poisoned != 0 || got.Succeeded == 0 {
			t.Errorf("the store is %+v", got)
		}
	}
	issued := p.Counts().Issued
	if issued < accounts || issued > accounts+without {
		t.Errorf("%d tokens were issued, want %d; %d operations went without the store", issued, accounts, without)
	}
	if without == 0 && adopted < accounts {
		t.Errorf("%d tokens were adopted, want %d", adopted, accounts)
	}
	check(t, "tokens refused", p.Counts().TotalRefused(), 0)
	for _, c := range servers {
		for place, text := range map[string]string{"the clients": c.get("/pismo/clients"), "the metrics": c.get("/metrics")} {
			if strings.Contains(text, "1026818") {
				t.Errorf("%s name an account", place)
			}
		}
		tokens.Range(func(token, _ any) bool {
			if strings.Contains(c.logged(), token.(string)) {
				t.Error("the log shows a token")
			}
			return true
		})
	}
}
