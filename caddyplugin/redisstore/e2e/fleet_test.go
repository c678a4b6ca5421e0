// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// These values must not be shown anywhere.
const (
	redisPassword = "SENTINELPASSWORD"
	serverKey     = "SENTINELKEY"
	serverSecret  = "SENTINELSECRETSENTINELSECRET"
)

// permissions are those that docs/fleet.md lists.
const permissions = "resetkeys ~pismo:* -@all +eval +evalsha +get +set +pttl +del +select"

// accounts returns the accounts of a test.
func accounts() []string {
	all := make([]string, 20)
	for i := range all {
		all[i] = strconv.Itoa(102681871 + i)
	}
	return all
}

// A fleet is two Caddys on one platform, with one Redis.
type fleet struct {
	t       *testing.T
	redis   *redisServer
	pismo   *passporttest.Server
	servers []*server
	tokens  sync.Map // that reached the platform
}

// startFleet starts the servers. If redis-server is not installed, it returns
// nil.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, redis: startRedis(t)}
	if f.redis == nil {
		return nil
	}
	f.redis.cli(t, append([]string{"ACL", "SETUSER", "pismo", "on", ">" + redisPassword}, strings.Fields(permissions)...)...)
	f.pismo = passporttest.NewServer(t, passporttest.Config{
		ServerKey: serverKey, ServerSecret: serverSecret,
		Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			f.tokens.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), true)
		}),
	})
	dir := t.TempDir()
	for name, text := range map[string]string{"user": "pismo\n", "password": redisPassword + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.NewReplacer("$URL", f.pismo.URL(), "$PISMO", f.pismo.Host(), "$DIR", dir).Replace(`{
	admin $ADMIN
	auto_https off
	grace_period 5s
	log {
		output stderr
		level DEBUG
		format pismo
	}
	metrics
	pismo {
		client main {
			base_url $URL
			server_key {env.PISMO_KEY}
			server_secret {env.PISMO_SECRET}
			store redis {
				address {env.REDIS_ADDRESS}
				user_file $DIR/user
				password_file {env.REDIS_PASSWORD_FILE}
				database 1
			}
		}
	}
}
http://$SITE {
	bind 127.0.0.1
	map {http.request.uri.path} {account} {
		~/([0-9]+)$ "${1}"
	}
	pismo_proxy $PISMO {
		account {account}
	}
}
`)
	for range 2 {
		f.servers = append(f.servers, newServer(t, config, "PISMO_KEY="+serverKey, "PISMO_SECRET="+serverSecret,
			"REDIS_ADDRESS="+f.redis.address, "REDIS_PASSWORD_FILE="+filepath.Join(dir, "password")))
	}
	return f
}

// A status is the state of a client's store, as the admin API returns it.
type status struct {
	Reachable bool   `json:"reachable"`
	LastError string `json:"last_error"`
	Adopted   int    `json:"adopted"`
	Poisoned  int    `json:"poisoned"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"`
	Skipped   int    `json:"skipped"`
}

// status returns the state of the store of a server.
func (f *fleet) status(s *server) status {
	f.t.Helper()
	var clients []struct{ Store status }
	if err := json.Unmarshal([]byte(s.ask("/pismo/clients")), &clients); err != nil || len(clients) != 1 {
		f.t.Fatalf("%d clients, error %v", len(clients), err)
	}
	return clients[0].Store
}

// wantIssued fails the test unless each token was issued once. A process that
// is starved for 250 ms goes on without the store, and may then issue a token
// again: each such operation is counted.
func (f *fleet) wantIssued(want int, before ...status) {
	f.t.Helper()
	without := 0
	for _, s := range f.servers {
		now := f.status(s)
		without += now.Failed + now.Skipped
		if now.Poisoned != 0 {
			f.t.Errorf("%d values were poisoned", now.Poisoned)
		}
	}
	for _, s := range before {
		without += s.Failed + s.Skipped
	}
	issued := f.pismo.Counts().Issued
	if issued < want || issued > want+without {
		f.t.Errorf("%d tokens were issued, want %d; %d operations went without the store", issued, want, without)
	}
	if without > 0 {
		f.t.Logf("%d operations went without the store, %d tokens were issued for %d", without, issued, want)
	}
}

// A reload of one server after the other, and a restart of one after the other,
// costs neither a request nor a token.
func TestFleet_RollingReloadIssuesNothing(t *testing.T) {
	f := startFleet(t)
	if f == nil {
		return
	}
	all := accounts()
	l := f.startLoad(4)
	for range 5 {
		for _, s := range f.servers {
			sent := l.sent.Load()
			await(t, "no request is sent", func() bool { return l.sent.Load() > sent+int64(len(all)) })
			if err := s.reload(); err != nil {
				t.Error("reload:", err)
			}
		}
	}
	close(l.stop)
	l.done.Wait()
	for _, s := range f.servers {
		for _, account := range all {
			if err := s.get(account); err != nil {
				t.Error(err)
			}
		}
	}
	if n := l.failed.Load(); n != 0 {
		t.Errorf("%d of %d requests failed, first %v", n, l.sent.Load(), l.err)
	}
	f.wantIssued(len(all))
	var before []status
	for _, s := range f.servers {
		got := f.status(s)
		before = append(before, got)
		if !got.Reachable || got.Succeeded == 0 {
			t.Errorf("the store is %+v", got)
		}
		s.stop()
		s.start()
		for _, account := range all {
			if err := s.get(account); err != nil {
				t.Error("after a restart:", err)
			}
		}
		if now := f.status(s); now.Adopted == 0 {
			t.Errorf("after a restart the store is %+v, want adopted tokens", now)
		}
	}
	f.wantIssued(len(all), before...)
	if refused := f.pismo.Counts().TotalRefused(); refused != 0 {
		t.Errorf("%d tokens were refused", refused)
	}
	f.wantNoSecret()
}

// Without Redis, every request is answered, and the state says what is wrong.
func TestFleet_WorksWithoutRedis(t *testing.T) {
	f := startFleet(t)
	if f == nil {
		return
	}
	f.redis.kill()
	for _, s := range f.servers {
		for _, account := range accounts() {
			if err := s.get(account); err != nil {
				t.Error(err)
			}
		}
		got := f.status(s)
		if got.Reachable || got.Failed == 0 || !strings.HasPrefix(got.LastError, "fleet: the store failed: ") {
			t.Errorf("the store is %+v", got)
		}
		if !strings.Contains(s.log(), "token store is failing") {
			t.Error("the log does not say that the store fails")
		}
		for line := range strings.Lines(s.log()) {
			if !strings.HasPrefix(line, "{") {
				t.Errorf("a line is not in Caddy's format: %s", line)
			}
		}
		// A Caddy that starts now does not wait for Redis.
		s.stop()
		s.start()
		if err := s.get(accounts()[0]); err != nil {
			t.Error(err)
		}
	}
	f.wantNoSecret()
}
