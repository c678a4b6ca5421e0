// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestProvision_FaultNamesOptionAndRemedy(t *testing.T) {
	const proxy = "pismo_proxy $PISMO {\n account " + alice + "\n}"
	for name, test := range map[string]struct{ options, site, want string }{
		"an upstream that is not listed": {"", "pismo_proxy https://evil.example {\n account {a}\n}", "client main: upstream evil.example:443: evil.example is not in hosts; add it to those of the client, or set tls_server_name to the name that the upstream's certificate proves"},
		"plain HTTP":                     {"hosts sandbox.pismolabs.io", "pismo_proxy http://sandbox.pismolabs.io {\n account {a}\n}", "client main: upstream sandbox.pismolabs.io:80: would get the token in the clear; use https://"},
		"plain HTTP by port":             {"hosts sandbox.pismolabs.io", "pismo_proxy sandbox.pismolabs.io:443 {\n account {a}\n transport pismo {\n tls\n tls_except_ports 443\n}\n}", "would get the token in the clear"},
		"TLS that proves nothing":        {"hosts sandbox.pismolabs.io", "pismo_proxy https://sandbox.pismolabs.io {\n account {a}\n transport pismo {\n tls_insecure_skip_verify\n}\n}", "client main: tls_insecure_skip_verify: any server could act as upstream sandbox.pismolabs.io:443 and would get the token; use tls_trust_pool, or tls_server_name"},
		"and claims a name":              {"hosts sandbox.pismolabs.io", "pismo_proxy https://10.0.0.1 {\n account {a}\n transport pismo {\n tls_insecure_skip_verify\n tls_server_name sandbox.pismolabs.io\n}\n}", "tls_insecure_skip_verify: any server could act as upstream"},
		"a unix socket not listed":       {"", "pismo_proxy unix//run/pismo.sock {\n account {a}\n}", "localhost is not in hosts"},
		"hosts that widen":               {"", "pismo_proxy $PISMO {\n account {a}\n transport pismo {\n hosts evil.example\n}\n}", `client main: hosts: "evil.example" is not in hosts of the client: add the host there, or remove it here`},
		"hosts that narrow":              {"hosts 127.0.0.1 sandbox.pismolabs.io", "pismo_proxy https://sandbox.pismolabs.io {\n account {a}\n transport pismo {\n hosts 127.0.0.1\n}\n}", "sandbox.pismolabs.io is not in hosts"},
		"a pattern of hosts":             {"hosts *.pismolabs.io", proxy, `client main: hosts: "*.pismolabs.io" is a pattern; list each host that may receive a token`},
		"an upstream of health checks":   {"", "pismo_proxy $PISMO {\n account {a}\n health_account organization\n health_uri /v1/health\n health_upstream evil.example:80\n}", "health_upstream: upstream evil.example:80: evil.example is not in hosts"},
		"an unknown client":              {"", "pismo_proxy $PISMO {\n client other\n account {a}\n}", "client other is not defined; there are: main"},
		"half a certificate":             {"client_certificate cert.pem none.pem", proxy, "client main: client_certificate: "},
		"an authority that is none":      {"trusted_ca_certs $SECRETS/key", proxy, "client main: trusted_ca_certs: $SECRETS/key contains no certificate in PEM"},
		"a placeholder without value":    {"hosts {env.PISMO_NO_SUCH_VARIABLE}", proxy, "client main: hosts: evaluated placeholder {env.PISMO_NO_SUCH_VARIABLE} is empty"},
		"a header without value":         {"header X-Gateway {env.PISMO_NO_SUCH_VARIABLE}", proxy, "client main: header: evaluated placeholder {env.PISMO_NO_SUCH_VARIABLE} is empty"},
		"plain HTTP through a proxy":     {"", "pismo_proxy $PISMO {\n account {a}\n transport pismo {\n network_proxy url http://192.0.2.1:3128\n}\n}", "client main: network_proxy: would see the token for upstream $PISMO in the clear; use https://"},
		"a field of ours":                {"field server_key 1", proxy, `client main: fields["server_key"]: is a field that S2S sets itself`},
		"a header of net/http's":         {"header Authorization x", proxy, `client main: header["Authorization"]: is reserved for`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			t.Cleanup(func() { _ = caddy.Stop() })
			err := load(s.caddyfile(test.options, test.site))
			if err == nil || !strings.Contains(err.Error(), s.expand(test.want)) {
				t.Errorf("got %v, want %q", err, s.expand(test.want))
			}
			if counts := s.pismo.Counts(); counts.TokenRequests != 0 {
				t.Error("a token was requested")
			}
		})
	}
}

// A configuration whose credentials cannot be read fails.
func TestProvision_ReadsCredentials(t *testing.T) {
	for name, test := range map[string]struct{ key, want string }{
		"no file":     {"{file.$SECRETS/none}", `client main: server_key: file "$SECRETS/none" cannot be read: no such file`},
		"an empty":    {"{file.$SECRETS/empty}", `client main: server_key: file "$SECRETS/empty" is empty`},
		"no variable": {"{env.PISMO_NO_SUCH_VARIABLE}", `client main: server_key: environment variable "PISMO_NO_SUCH_VARIABLE" is not set`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, passporttest.Config{})
			s.writeSecret("empty", "")
			t.Cleanup(func() { _ = caddy.Stop() })
			caddyfile := strings.Replace(s.caddyfile("", byHeader), s.expand("{file.$SECRETS/key}"), s.expand(test.key), 1)
			if err := load(caddyfile); err == nil || !strings.Contains(err.Error(), s.expand(test.want)) {
				t.Errorf("got %v, want %q", err, s.expand(test.want))
			}
		})
	}
}

func TestProvision_RefusesLiteralSecretInJSON(t *testing.T) {
	t.Cleanup(func() { _ = caddy.Stop() })
	err := caddy.Load([]byte(`{"admin":{"disabled":true},"apps":{"pismo":{"clients":{"main":{"base_url":"https://sandbox.pismolabs.io","server_key":"{env.K}","server_secret":"hunter2"}}}}}`), true)
	if err == nil || !strings.Contains(err.Error(), "client main: server_secret: is not one placeholder") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestProvision_NamesClientsToChooseFrom(t *testing.T) {
	t.Cleanup(func() { _ = caddy.Stop() })
	const off = "{\n admin off\n auto_https off\n persist_config off\n"
	const client = "base_url http://127.0.0.1\n server_key {env.HOME}\n server_secret {env.HOME}\n}\n"
	site := "http://127.0.0.1:0 {\n pismo_proxy 127.0.0.1 {\n account organization\n}\n}\n"
	for caddyfile, want := range map[string]string{
		off + "}\n" + site: "there is no client; define one with the global option: pismo { client <name> { … } }",
		off + "pismo {\n client a {\n" + client + "client b {\n" + client + "}\n}\n" + site: "there are several clients: name one of a, b",
	} {
		if err := load(caddyfile); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A dynamic upstream is not known before a request arrives.
func TestHosts_UnlistedUpstreamGetsNoToken(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	other := passporttest.NewServer(t, passporttest.Config{Addr: "127.0.0.2:0"})
	s.start(s.caddyfile("", `pismo_proxy {http.request.header.X-Upstream} {
		account `+alice+`
	}`))
	wantStatus(t, s.get(alice, withField("X-Upstream", s.pismo.Host())), http.StatusOK)
	wantProblem(t, s.get(alice, withField("X-Upstream", other.Host())), http.StatusInternalServerError, "misconfigured")
	wantProblem(t, s.get(alice, withField("X-Upstream", other.Host())), http.StatusInternalServerError, "misconfigured")
	if other.Counts().ResourceRequests != 0 {
		t.Error("the request was sent")
	}
	if lines := s.warnings(); len(lines) != 1 || !strings.Contains(lines[0], "the upstream is not in hosts") {
		t.Errorf("got the warnings %s, want one that the upstream is not in hosts", lines)
	}
}

// A loopback address behind a proxy is the proxy's machine.
func TestNetworkProxy_GetsNoTokenInClear(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	proxy := listen(t, "tcp", "127.0.0.2:0")
	serve(t, proxy, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the proxy got the Authorization %q", r.Header["Authorization"])
	}))
	s.start(s.caddyfile("", `pismo_proxy {http.request.header.X-Upstream} {
		account `+alice+`
		transport pismo {
			network_proxy url http://`+proxy.Addr().String()+`
		}
	}`))
	wantProblem(t, s.get(alice, withField("X-Upstream", s.pismo.Host())), http.StatusInternalServerError, "misconfigured")
}

func TestTransport_RefusesOtherClientOrAccount(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	caddyfile := s.caddyfile("", `pismo_auth main {
		account `+alice+`
	}
	handle /v1/accounts/other {
		reverse_proxy $PISMO {
			transport pismo other
		}
	}
	handle /v1/accounts/contradicts {
		reverse_proxy $PISMO {
			transport pismo main {
				account `+bob+`
			}
		}
	}
	handle {
		reverse_proxy $PISMO {
			transport pismo main {
				account `+alice+`
			}
		}
	}`)
	caddyfile = strings.Replace(caddyfile, "client main {", s.expand("client other {\n base_url http://$PISMO\n server_key {file.$SECRETS/key}\n server_secret {file.$SECRETS/secret}\n}\nclient main {"), 1)
	s.start(caddyfile)
	wantProblem(t, s.get("other"), http.StatusInternalServerError, "misconfigured")
	wantProblem(t, s.get("contradicts"), http.StatusInternalServerError, "misconfigured")
	wantStatus(t, s.get(alice), http.StatusOK)
}
