// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// These values must not be shown anywhere.
const (
	leakedKey    = "SENTINELKEY"
	leakedSecret = "SENTINELSECRET"
	leakedAnswer = "SENTINELANSWER" // of the token endpoint
	theirToken   = "SENTINELINBOUND"
)

// The test sends requests of every kind. It searches all files, answers and
// exports of the server. Caddy itself shows the client's credentials with
// log_credentials, and shows the configuration, which contains accounts. The
// plugin's tokens and secrets are never shown.
func TestServer_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	for name, credentials := range map[string]string{"as it is": "", "with log_credentials": "log_credentials"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			searchForLeaks(t, credentials)
		})
	}
}

func searchForLeaks(t *testing.T, logCredentials string) {
	t.Helper()
	var tokens sync.Map // that reached the platform
	p := newPlatform(t, passporttest.Config{
		ServerKey:    leakedKey,
		ServerSecret: leakedSecret,
		Accounts:     []string{alice},
		Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tokens.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), true)
			switch r.URL.Path {
			case "/refused":
				w.WriteHeader(http.StatusUnauthorized)
			case "/down":
				panic(http.ErrAbortHandler)
			}
		}),
	})
	spans := newSpanReceiver(t)
	address, byHand, handled := freeport.Address(t), freeport.Address(t), freeport.Address(t)
	s := serverConfig{
		global: p.client() + "metrics {\nper_host\n}\nservers {\n" + logCredentials + "\n}\n",
		sites: site(address, "log", block("tracing", "span inbound"), pismoProxy(p.Host(), "health_uri /health", "health_interval 50ms")) +
			site(byHand, "log", block("tracing", "span inbound"), "route {\n"+block("pismo_auth", "account {account}")+"\n"+block("reverse_proxy "+p.Host(), "transport pismo")+"\n}") +
			site(handled, "log", pismoProxy(p.Host(), "errors handle"), "handle_errors {\nrespond \"{err.status_code}: {err.message}\"\n}"),
		env: append(p.env(), spans.env()...),
	}
	c := start(t, s)

	var answers strings.Builder
	served := map[string]string{} // by the admin API
	visit := func() {
		for _, to := range []*client{newClient(t, address, 1), newClient(t, byHand, 1), newClient(t, handled, 1)} {
			for user := range accounts {
				for _, path := range []string{"/", "/refused", "/down"} {
					for _, method := range []string{http.MethodGet, http.MethodPost} {
						got, err := to.send(method, path, strings.NewReader("payment"), "X-User", user, "Authorization", "Bearer "+theirToken)
						_, _ = fmt.Fprintln(&answers, got, err)
					}
				}
			}
		}
	}
	admin := func() {
		for _, path := range []string{"/config/", "/pismo/clients", "/metrics", "/reverse_proxy/upstreams"} {
			status, answer, err := c.adminRequest(http.MethodGet, path, "")
			if err != nil || status != http.StatusOK {
				t.Errorf("%s: status %d, error %v", path, status, err)
			}
			served[path] += answer
		}
	}
	visit()
	p.RevokeAll()
	visit()
	admin()
	p.FailAlways(passporttest.Body(http.StatusUnauthorized, "application/json", `{"message":"`+leakedAnswer+`"}`))
	p.RevokeAll()
	visit()
	c.invalidate(t, `{"account":"`+alice+`"}`)
	visit()
	admin()
	if err := c.load(s); err != nil {
		t.Error(err)
	}
	visit()
	await(t, "spans are exported", func() bool { return len(spans.named("inbound")) > 0 })

	known := 0
	leaks := []string{leakedKey, leakedSecret, leakedAnswer}
	for _, plain := range leaks {
		leaks = append(leaks, base64.StdEncoding.EncodeToString([]byte(plain))[:len(plain)])
	}
	tokens.Range(func(token, _ any) bool {
		known++
		leaks = append(leaks, token.(string))
		return true
	})
	if known < 3 {
		t.Errorf("the platform saw %d tokens: the test proves nothing", known)
	}
	if !strings.Contains(answers.String(), "502: pismoauth: ") {
		t.Error("no error route has shown a message of the plugin: the test proves nothing")
	}
	places := maps.Clone(served)
	places["an answer"], places["a span"], places["the log"] = answers.String(), spans.String(), c.logged()
	c.eachFile(func(name, text string) { places[name] = text })
	if places["autosave.json"] == "" {
		t.Error("the server has not saved its configuration")
	}
	for place, text := range places {
		for _, leak := range leaks {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows %.20q", place, leak)
			}
		}
	}
	for _, place := range []string{"an answer", "a span", "the log", "/pismo/clients", "/metrics"} {
		for user, account := range accounts {
			if strings.Contains(places[place], account) {
				t.Errorf("%s shows the account of %s", place, user)
			}
		}
	}
}

// eachFile calls visit for every file of the server.
func (c *server) eachFile(visit func(name, text string)) {
	c.tb.Helper()
	for _, dir := range []string{"config", "data"} {
		err := filepath.WalkDir(filepath.Join(c.dir, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			visit(entry.Name(), string(text))
			return err
		})
		if err != nil {
			c.tb.Error(err)
		}
	}
}
