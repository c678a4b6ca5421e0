// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// echoHost answers with the Host of a request.
var echoHost = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })

// A gateway on this machine may forward to many hosts, by the Host of a
// request. The client must not choose the host that gets the token.
func TestHost_PlaintextIsNotTheClients(t *testing.T) {
	s := newFixture(t, passporttest.Config{Resource: echoHost})
	socket := filepath.Join(t.TempDir(), "s")
	serve(t, listen(t, "unix", socket), s.pismo.Handler())
	for name, test := range map[string]struct{ site, want string }{
		"loopback":         {"pismo_proxy $PISMO {\n account " + alice + "\n}", s.pismo.Host()},
		"transport pismo":  {"reverse_proxy $PISMO {\n transport pismo {\n account " + alice + "\n}\n}", s.pismo.Host()},
		"another field":    {"pismo_proxy $PISMO {\n account " + alice + "\n header_up X-Other yes\n}", s.pismo.Host()},
		"a unix socket":    {"pismo_proxy unix/" + socket + " {\n account " + alice + "\n}", "localhost"},
		"an own Host":      {"pismo_proxy $PISMO {\n account " + alice + "\n header_up Host api.example\n}", "api.example"},
		"lower case":       {"pismo_proxy $PISMO {\n account " + alice + "\n header_up host api.example\n}", "api.example"},
		"the upstream's":   {"pismo_proxy $PISMO {\n account " + alice + "\n header_up Host {upstream_hostport}\n}", s.pismo.Host()},
		"a socket's own":   {"pismo_proxy unix/" + socket + " {\n account " + alice + "\n header_up Host api.example\n}", "api.example"},
		"no Host":          {"pismo_proxy $PISMO {\n account " + alice + "\n header_up -Host\n}", s.pismo.Host()},
		"the client's own": {"pismo_proxy $PISMO {\n account " + alice + "\n header_up Host {http.request.host}\n}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fixture{t: t, pismo: s.pismo, secrets: s.secrets, addr: s.addr, logs: filepath.Join(t.TempDir(), "log"), admin: s.admin}
			_, port, _ := strings.Cut(s.addr, ":")
			s.start(strings.Replace(s.caddyfile("hosts 127.0.0.1 localhost api.example", "bind 127.0.0.1\n"+test.site), "http://"+s.addr, "http://:"+port, 1))
			r := s.get(alice, func(r *http.Request) { r.Host = "evil.example" })
			if test.want == "" {
				wantProblem(t, r, http.StatusInternalServerError, "misconfigured")
			} else if wantStatus(t, r, http.StatusOK); r.body != test.want {
				t.Errorf("the Host is %q, want %q", r.body, test.want)
			}
		})
	}
}

func TestHost_StaticIsCheckedAtProvision(t *testing.T) {
	const tls = "transport pismo {\n tls_trust_pool file $SECRETS/ca.pem\n}\n"
	for name, test := range map[string]struct{ options, fault string }{
		"unlisted":                {"header_up Host api.pismo.example", "client main: header_up Host: api.pismo.example is not in hosts of the client"},
		"added":                   {"header_up +Host api.pismo.example", "header_up Host: api.pismo.example is not in hosts of the client"},
		"a port of another":       {"header_up Host api.pismo.example:443", "header_up Host: api.pismo.example:443 is not in hosts of the client"},
		"listed":                  {"header_up Host 127.0.0.1", ""},
		"the upstream's":          {"header_up Host $PISMO", ""},
		"by request":              {"header_up Host {http.request.host}", ""},
		"another field":           {"header_up X-Host api.pismo.example", ""},
		"a health check's":        {"health_uri /\n health_interval 1h\n health_account organization\n health_headers {\n Host api.pismo.example\n}", "health_headers Host: api.pismo.example is not in hosts of the client"},
		"a bare health check's":   {"health_uri /\n health_interval 1h\n health_headers {\n Host api.pismo.example\n}", ""},
		"a health check's listed": {"health_uri /\n health_interval 1h\n health_account organization\n health_headers {\n Host 127.0.0.1\n}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTLSFixture(t, passporttest.Config{})
			t.Cleanup(func() { _ = caddy.Stop() })
			err := load(s.caddyfile("trusted_ca_certs $SECRETS/ca.pem", "pismo_proxy $URL {\n account "+alice+"\n "+test.options+"\n "+tls+"}"))
			switch {
			case test.fault == "" && err != nil:
				t.Error(err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
}
