// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// root is the root of the repository.
var root = filepath.Join("..", "..")

// The unchanged file runs from the root, as its comment says. Only its
// addresses are replaced by addresses that no other test uses.
func TestExample_UserReachesOnlyItsAccount(t *testing.T) {
	t.Parallel()
	secret := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, "examples", "caddy", "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	p := newPlatform(t, passporttest.Config{ServerKey: secret("server_key"), ServerSecret: secret("server_secret")})
	address, metrics := freeport.Address(t), freeport.Address(t)
	c := newServer(t)
	err := c.run(root, []string{"ADDRESS=" + address, "METRICS_ADDRESS=" + metrics, "PISMO_BASE_URL=" + p.URL(), "CADDY_ADMIN=" + c.admin}, "--config", "examples/caddy/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}

	to := newClient(t, address, 1)
	for _, test := range []struct {
		user, password, method, path string
		want                         int
	}{
		{"alice", "wonderland", http.MethodGet, "/v1/accounts/" + alice, http.StatusOK},
		{"bob", "builder", http.MethodGet, "/v1/accounts/" + bob, http.StatusOK},
		{"alice", "wonderland", http.MethodGet, "/v1/accounts/" + bob, http.StatusUnauthorized},
		{"bob", "builder", http.MethodGet, "/v1/accounts/" + alice, http.StatusUnauthorized},
		{"bob", "builder", http.MethodPost, "/v1/payments", http.StatusCreated},
		{"alice", "builder", http.MethodGet, "/v1/accounts/" + alice, http.StatusUnauthorized},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, to.url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(test.user, test.password)
		got, err := to.read(req)
		if err != nil {
			t.Fatal(err)
		}
		check(t, test.user+": "+test.path, got.status, test.want)
	}
	counts := p.Counts()
	check(t, "requests that were carried out for alice", counts.Accounts[alice].Accepted, 1)
	check(t, "requests that were carried out for bob", counts.Accounts[bob].Accepted, 2)
	check(t, "tokens of the organization", counts.Accounts[""].Issued, 0)
	if got := newClient(t, metrics, 1).get(t, "/metrics"); !strings.Contains(got.body, "pismo_token_issuances_total") {
		t.Errorf("got the metrics with status %d: %.200s", got.status, got.body)
	}
	if logged := c.logged(); strings.Contains(logged, alice) || strings.Contains(logged, bob) {
		t.Error("the log shows an account, although the example has a filter")
	}
}

func TestExample_HasSecretsOfFakeServer(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(root, "examples", "fakeserver", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"server_key", "server_secret"} {
		secret, err := os.ReadFile(filepath.Join(root, "examples", "caddy", "secrets", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), `"`+strings.TrimSpace(string(secret))+`"`) {
			t.Errorf("%s differs from the secret of the fake server", name)
		}
	}
}

// caddyfiles matches the Caddyfiles in Markdown.
var caddyfiles = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")

// The Caddyfiles in the documents are valid, and have the format of caddy fmt.
func TestCaddyfile_ShownOnesAdapt(t *testing.T) {
	t.Parallel()
	shown := map[string]string{}
	example, err := os.ReadFile(filepath.Join(root, "examples", "caddy", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	shown["the example"] = string(example)
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range caddyfiles.FindAllStringSubmatch(string(text), -1) {
				shown[page+": "+block[1]] = block[1]
			}
		}
	}
	if len(shown) < 5 {
		t.Errorf("found %d Caddyfiles, want more", len(shown))
	}
	for name, text := range shown {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"fmt", "--diff", file}, {"adapt", "--config", file}} {
			command := exec.CommandContext(t.Context(), binary, args...)
			command.Env = []string{"HOME=" + t.TempDir()}
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s: caddy %s: %v: %s", name, args[0], err, out)
			}
		}
	}
}
