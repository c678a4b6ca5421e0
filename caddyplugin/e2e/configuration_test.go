// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// validate returns the output of the command caddy validate for a Caddyfile.
func validate(tb testing.TB, s serverConfig) (output string, err error) {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(s.caddyfile("off")), 0o600); err != nil {
		tb.Fatal(err)
	}
	command := exec.CommandContext(tb.Context(), binary, "validate", "--config", file, "--adapter", "caddyfile")
	command.Env = append([]string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, s.env...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// The error names the misspelt option and its line.
func TestCaddyfile_FaultNamesItsLine(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	for fault, want := range map[string]string{
		"accounts alice":     "unrecognized subdirective accounts",
		"account alice":      "account: is neither a placeholder, nor the word organization, nor an account id",
		"health_acount off":  "unrecognized subdirective health_acount",
		"health_account bob": "health_account: is neither an account id, nor the word organization, nor the word off",
		"errors answer":      "errors: is not the word handle",
		"transport http":     "the transport of pismo_proxy is pismo",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := serverConfig{global: p.client(), sites: block("http://127.0.0.1:1", block("pismo_proxy "+p.Host(), "lb_policy first", fault, "lb_retries 1")), env: p.env()}
			line := 1 + strings.Count(s.caddyfile("off")[:strings.Index(s.caddyfile("off"), fault)], "\n")
			output, err := validate(t, s)
			if err == nil || !strings.Contains(output, want) || !strings.Contains(output, fmt.Sprintf("Caddyfile:%d\"", line)) {
				t.Errorf("want %q at line %d: %v, %s", want, line, err, output)
			}
		})
	}
}

// A configuration with which every request would fail is refused when it is
// loaded.
func TestStart_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	for name, test := range map[string]struct{ directive, want string }{
		"a Host that is not listed":         {pismoProxy(p.Host(), "header_up Host evil.example"), "header_up Host: evil.example is not in hosts of the client"},
		"a health check's Host":             {pismoProxy(p.Host(), "health_uri /", "health_account organization", block("health_headers", "Host evil.example")), "health_headers Host: evil.example is not in hosts of the client"},
		"a transport that has no account":   {block("reverse_proxy "+p.Host(), "transport pismo"), "account: is not set, and no pismo_auth is in front of this reverse_proxy"},
		"a transport beside the pismo_auth": {block("handle /a/*", block("pismo_auth", "account organization")) + "\n" + block("handle", block("reverse_proxy "+p.Host(), "transport pismo")), "account: is not set"},
		"a host that the client leaves out": {pismoProxy(p.Host(), block("transport pismo", "hosts evil.example")), "hosts: \"evil.example\" is not in hosts of the client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := validate(t, serverConfig{global: p.client(), sites: site("127.0.0.1:1", test.directive), env: p.env()})
			if err == nil || !strings.Contains(strings.ReplaceAll(output, `\"`, `"`), test.want) {
				t.Errorf("want %q: %v, %s", test.want, err, output)
			}
		})
	}
}

// Quoted ids from 2^53 keep their digits. As numbers, they lose digits and
// would name another account.
func TestAccount_LongIDs(t *testing.T) {
	t.Parallel()
	const even, odd, long = "9007199254740994", "9007199254740995", "100000000000000000"
	p := newPlatform(t, passporttest.Config{})
	address := freeport.Address(t)
	start(t, serverConfig{
		global: p.client(),
		sites: block("http://"+address, "bind 127.0.0.1",
			block("map {http.request.header.X-User} {account}", `even "`+even+`"`, `odd "`+odd+`"`, `long "`+long+`"`, "number 9007199254740997"),
			pismoProxy(p.Host())) + "\n",
		env: p.env(),
	})
	to := newClient(t, address, 1)
	for user, account := range map[string]string{"even": even, "odd": odd, "long": long} {
		check(t, user, to.get(t, "/v1/accounts/"+account, "X-User", user).status, http.StatusOK)
	}
	check(t, "a number", to.get(t, "/v1/accounts/x", "X-User", "number").status, http.StatusForbidden)
}

// A gateway on this machine may speak for many hosts. The client must not
// choose where it sends the token.
func TestHost_PlaintextIsNotTheClients(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	})})
	for name, test := range map[string]struct{ directive, want string }{
		"pismo_proxy":     {pismoProxy(p.Host()), p.Host()},
		"transport pismo": {transportOnly(p.Host()), p.Host()},
		"its own Host":    {pismoProxy(p.Host(), "header_up Host api.example"), "api.example"},
	} {
		_, port, _ := strings.Cut(freeport.Address(t), ":")
		start(t, serverConfig{global: p.client("hosts 127.0.0.1 api.example"), sites: site(":"+port, test.directive), env: p.env()})
		for _, host := range []string{"evil.example", "127.0.0.2", "localhost:1"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			got, err := newClient(t, "", 1).read(req)
			if err != nil {
				t.Fatal(err)
			}
			check(t, name+", Host "+host, got.body, test.want)
		}
	}
}

// A target that another server could read as another path is refused, with and
// without pismo_auth in front.
func TestTarget_IsNotTheClients(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, passporttest.Config{})
	for name, directive := range map[string]string{"pismo_proxy": pismoProxy(p.Host()), "transport pismo": transportOnly(p.Host())} {
		address := freeport.Address(t)
		start(t, serverConfig{global: p.client(), sites: site(address, directive), env: p.env()})
		for _, target := range []string{"x:https://evil.example/admin", "/v1/x/%2e%2e/y", "/v1/x/..%2fy", "/v1/x/..%5cy", "/v1/x/%252e%252e/y", "/v1/x/..;/y"} {
			check(t, name+" "+target, sendTarget(t, address, target), http.StatusBadRequest)
		}
	}
	check(t, "token requests", p.Counts().TokenRequests, 0)
}
