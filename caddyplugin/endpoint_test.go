// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The next configuration trusts a replaced authority, although no option has
// changed. It keeps the tokens.
func TestEndpoint_AuthorityIsReplaced(t *testing.T) {
	for name, option := range map[string]string{
		"trusted_ca_certs": "trusted_ca_certs $SECRETS/trusted.pem",
		"tls_trust_pool":   "tls_trust_pool file $SECRETS/trusted.pem",
		"a block":          "tls_trust_pool file {\n pem_file $SECRETS/trusted.pem\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newTLSFixture(t, passporttest.Config{})
			trusted := filepath.Join(s.secrets, "trusted.pem")
			replace(t, trusted, &pem.Block{Type: "CERTIFICATE", Bytes: s.pismo.Certificate().Raw})
			const proxy = "pismo_proxy $URL {\n account_header X-Account [0-9]+\n transport pismo {\n tls_trust_pool file $SECRETS/ca.pem\n}\n}"
			s.start(s.caddyfile(option, proxy))
			wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)

			replace(t, trusted, &pem.Block{Type: "CERTIFICATE", Bytes: newAuthority(t).cert.Raw})
			s.reload(s.caddyfile(option, proxy))
			for range 5 {
				wantProblem(t, s.get(bob, withField("X-Account", bob)), http.StatusBadGateway, "unavailable")
			}
			wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK) // The cached token is used.

			replace(t, trusted, &pem.Block{Type: "CERTIFICATE", Bytes: s.pismo.Certificate().Raw})
			s.reload(s.caddyfile(option, proxy))
			s.await("the authority is not trusted", func() bool { return s.get(bob, withField("X-Account", bob)).status == http.StatusOK })
			if counts := s.pismo.Counts(); counts.Issued != 2 {
				t.Errorf("%d tokens were issued, want 2", counts.Issued)
			}
		})
	}
}

// The network of a bank may allow connections through a proxy only.
func TestEndpoint_NetworkProxy(t *testing.T) {
	s := newTLSFixture(t, passporttest.Config{})
	var tunnels atomic.Int64
	proxy := s.plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		to, err := new(net.Dialer).DialContext(r.Context(), "tcp", s.pismo.Host())
		if err != nil {
			t.Error(err)
			return
		}
		tunnels.Add(1)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	s.start(strings.Replace(s.caddyfile("network_proxy url http://"+proxy+"\n trusted_ca_certs $SECRETS/ca.pem\n tls_server_name localhost\n hosts 127.0.0.1",
		"pismo_proxy $URL {\n account "+alice+"\n transport pismo {\n tls_trust_pool file $SECRETS/ca.pem\n}\n}"), s.pismo.URL(), "https://pismo.test", 1))
	wantStatus(t, s.get(alice), http.StatusOK)
	if tunnels.Load() != 1 {
		t.Errorf("%d tunnels, want 1", tunnels.Load())
	}
}

func TestEndpoint_Resolvers(t *testing.T) {
	s := newTLSFixture(t, passporttest.Config{})
	_, port, _ := net.SplitHostPort(s.pismo.Host())
	s.start(strings.Replace(s.caddyfile("resolvers udp/"+startResolver(t)+"\n trusted_ca_certs $SECRETS/ca.pem\n tls_server_name localhost\n hosts 127.0.0.1",
		"pismo_proxy $URL {\n account "+alice+"\n transport pismo {\n tls_trust_pool file $SECRETS/ca.pem\n}\n}"), s.pismo.URL(), "https://pismo.test:"+port, 1))
	wantStatus(t, s.get(alice), http.StatusOK)
}

// startResolver serves a DNS that resolves every name to 127.0.0.1.
func startResolver(t *testing.T) string {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(packet[:n]) != nil || len(message.Questions) != 1 {
				continue
			}
			message.Response, message.Additionals = true, nil
			if question := message.Questions[0]; question.Type == dnsmessage.TypeA {
				message.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class, TTL: 60},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}
			if answer, err := message.Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestEndpoint_Faults(t *testing.T) {
	for name, test := range map[string]struct{ option, want string }{
		"no verification":           {"base_url https://pismo.test\n tls_insecure_skip_verify", "client main: tls_insecure_skip_verify: any server could act as the token endpoint and would get the server secret"},
		"two authorities":           {"base_url https://pismo.test\n trusted_ca_certs $SECRETS/ca.pem\n tls_trust_pool file $SECRETS/ca.pem", "client main: trusted_ca_certs: is set, and tls_trust_pool is set too: remove one of the two"},
		"a name by request":         {"base_url https://pismo.test\n tls_server_name {http.request.host}", "client main: tls_server_name: unrecognized placeholder {http.request.host}"},
		"two certificates":          {"base_url https://pismo.test\n client_certificate $SECRETS/c.pem $SECRETS/c.key\n tls_client_auth $SECRETS/a $SECRETS/b", "client main: client_certificate: "},
		"plaintext through a proxy": {"base_url http://127.0.0.1\n network_proxy url http://192.0.2.1:3128", "client main: network_proxy: would see the server secret in the clear; use https:// in base_url"},
		"no authority":              {"base_url https://pismo.test\n tls_trust_pool file $SECRETS/none.pem", "none.pem"},
		"a field without value":     {"base_url https://pismo.test\n field a `[{\"b\":\"{env.PISMO_NO_SUCH_VARIABLE}\"}]`", "client main: field: evaluated placeholder {env.PISMO_NO_SUCH_VARIABLE} is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTLSFixture(t, passporttest.Config{})
			t.Cleanup(func() { _ = caddy.Stop() })
			caddyfile := strings.Replace(s.caddyfile(test.option, "respond ok"), "base_url      "+s.pismo.URL(), "", 1)
			if err := load(caddyfile); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The key of a gateway may also be in the body of the token request.
func TestClient_FieldsMayBePlaceholders(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	t.Setenv("PISMO_GATEWAY_KEY", "gateway-key")
	gateway := s.plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if want := `"extra":{"deep":["x gateway-key",{"n":1}]}`; err != nil || !strings.Contains(string(body), want) {
			t.Errorf("the gateway got no %s", want)
		}
		// The fake server refuses an unknown field.
		r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), `"extra":{"deep":["x gateway-key",{"n":1}]},`, "", 1)))
		r.ContentLength = -1
		s.pismo.Handler().ServeHTTP(w, r)
	}))
	s.start(strings.Replace(s.caddyfile("field extra `{\"deep\":[\"x {env.PISMO_GATEWAY_KEY}\",{\"n\":1}]}`", byHeader), s.pismo.URL(), "http://"+gateway, 1))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	if config := s.adminSend(http.MethodGet, "/config/", "").body; strings.Contains(config, "gateway-key") {
		t.Error("the configuration shows the key")
	}
}

// After a failed reload, the admin API shows the running configuration.
func TestAdminAPI_FollowsTheRunningOne(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	caddyfile := s.caddyfile("", byHeader)
	s.start(caddyfile)
	get := func(issued int) {
		t.Helper()
		wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
		if counts := s.pismo.Counts(); counts.Issued != issued {
			t.Errorf("%d tokens were issued, want %d", counts.Issued, issued)
		}
	}
	get(1)
	taken := fmt.Sprintf("\nhttp://%s {\n bind 127.0.0.1\n respond ok\n}\n", s.pismo.Host())
	for name, broken := range map[string]string{
		"another client": strings.Replace(caddyfile, "client main {", "client z {\n base_url https://a.example\n server_key {env.PISMO_NONE}\n server_secret {env.PISMO_NONE}\n}\nclient main {", 1),
		"a changed one":  s.caddyfile("header X-Other yes", byHeader) + taken,
		"none":           "{\n admin " + s.admin + "\n persist_config off\n}\n" + taken,
	} {
		if err := load(broken); err == nil {
			t.Fatalf("%s: the reload does not fail", name)
		}
		if clients := s.clients(); len(clients) != 1 || clients[0].Name != "main" || clients[0].Issuances == 0 {
			t.Errorf("%s: got the clients %+v, want those of the running configuration", name, clients)
		}
		issued := s.pismo.Counts().Issued
		wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", ""), http.StatusNoContent)
		get(issued + 1)
	}
}

// The log says that issuance fails, that it recovered, and that it is flapping.
// Further changes cause no further lines.
func TestLog_FlappingIsThreeLines(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	for i := range 20 {
		s.pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
		failing := fmt.Sprint(5000 + i)
		wantStatus(t, s.get(failing, withField("X-Account", failing)), http.StatusBadGateway)
		s.pismo.Heal()
		working := fmt.Sprint(6000 + i)
		wantStatus(t, s.get(working, withField("X-Account", working)), http.StatusOK)
	}
	var lines []string
	for _, line := range s.log() {
		if strings.Contains(line, `"logger":"pismo"`) && !strings.Contains(line, `"level":"debug"`) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 3 || !strings.Contains(lines[2], "token issuance is flapping") {
		t.Errorf("got %d lines, want 3: %s", len(lines), lines)
	}
}
