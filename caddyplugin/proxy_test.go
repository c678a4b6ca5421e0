// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// byHeader is a site that takes the account from a header.
const byHeader = `pismo_proxy $PISMO {
	account_header X-Account [0-9]+
}`

func TestProxy_OneTokenPerAccount(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	for range 3 {
		wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
		wantStatus(t, s.get(bob, withField("X-Account", bob)), http.StatusOK)
		wantStatus(t, s.get(bob, withField("X-Account", alice)), http.StatusUnauthorized)
	}
	if counts := s.pismo.Counts(); counts.Issued != 2 {
		t.Errorf("%d tokens were issued for two accounts, want 2", counts.Issued)
	}
}

func TestProxy_ReplaysAfterRevocation(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", byHeader))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	s.pismo.RevokeAll()
	wantStatus(t, s.send(http.MethodPost, "/v1/payments", `{"amount":100}`, withField("X-Account", alice)), http.StatusCreated)
	if counts := s.pismo.Counts(); counts.Issued != 2 {
		t.Errorf("%d tokens were issued, want 2", counts.Issued)
	}
}

// In a named route, Caddy takes only the first handler of a directive. It would
// answer a payment with an empty 200.
func TestProxy_WorksInNamedRoute(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", "invoke pismo") + s.expand("\n&(pismo) {\n pismo_proxy $PISMO {\n account "+alice+"\n}\n}\n"))
	wantStatus(t, s.send(http.MethodPost, "/v1/payments", `{"amount":100}`), http.StatusCreated)
}

// Another server of the site names the account, as with forward_auth. The hosts
// of the client do not apply to that server.
func TestTransport_WorksInHandleResponse(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	authority := listen(t, "tcp", "127.0.0.2:0")
	serve(t, authority, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Authorization"]) != 0 {
			t.Error("the other server got a token")
		}
		w.Header().Set("X-Account", alice)
	}))
	s.start(s.caddyfile("", `reverse_proxy `+authority.Addr().String()+` {
		method GET
		fail_duration 30s
		unhealthy_status 5xx
		@good status 2xx
		handle_response @good {
			reverse_proxy $PISMO {
				transport pismo {
					account {rp.header.X-Account}
				}
			}
		}
	}`))
	wantStatus(t, s.send(http.MethodPost, "/v1/payments", `{"amount":100}`), http.StatusCreated)
	if lines := s.warnings(); len(lines) != 0 {
		t.Errorf("got warnings about the other proxy: %s", lines)
	}
}

// The recorded body of a request is not sent in place of another body.
func TestTransport_HandleResponseHasOwnBody(t *testing.T) {
	s := newFixture(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})})
	s.start(s.caddyfile("", `pismo_proxy $PISMO {
		account `+alice+`
		@good status 2xx
		handle_response @good {
			route {
				request_body {
					set second
				}
				reverse_proxy $PISMO {
					transport pismo
				}
			}
		}
	}`))
	if r := s.send(http.MethodPost, "/", "firsts"); r.body != "second" {
		t.Errorf("the platform got the body %q", r.body)
	}
}

func TestCaddyfile_EveryFormAuthenticates(t *testing.T) {
	const snippets = "(whole) {\n\tpismo_proxy {args[:]} {\n\t\taccount {a}\n\t}\n}\n(account) {\n\taccount {a}\n}\n" +
		"(transport) {\n\ttransport pismo {\n\t\tdial_timeout 1s\n\t}\n}\n(upstream) {\n\tto https://a.example\n}\n"
	for name, site := range map[string]string{
		"a path":                      "pismo_proxy /v1/* https://a.example {\naccount {a}\n}",
		"a matcher and a list":        "@v path /v1/*\npismo_proxy @v https://b.example https://a.example {\naccount {a}\n}",
		"to":                          "pismo_proxy {\nto https://b.example https://a.example\naccount {a}\n}",
		"to after transport":          "pismo_proxy {\ntransport pismo {\ndial_timeout 1s\n}\nto https://a.example\naccount {a}\n}",
		"a snippet":                   "import whole https://a.example",
		"a snippet and a path":        "import whole /v1/* https://a.example",
		"a snippet in it":             "pismo_proxy https://a.example {\nimport account\n}",
		"a snippet at its end":        "pismo_proxy https://a.example {\naccount {a}\nimport transport\n}",
		"a snippet's upstream":        "pismo_proxy {\nimport upstream\naccount {a}\n}",
		"handle":                      "handle /v1/* {\npismo_proxy https://a.example {\naccount {a}\n}\n}",
		"route":                       "route {\npismo_proxy https://a.example {\naccount {a}\n}\n}",
		"handle_path":                 "handle_path /p/* {\npismo_proxy https://a.example {\naccount {a}\n}\n}",
		"comments":                    "pismo_proxy https://a.example { # here\n# there\naccount {a} # {\n# }\n}",
		"quotes":                      "pismo_proxy \"https://a.example\" {\naccount \"{a}\"\n\"account_pattern\" `[0-9]{9}`\n}",
		"a heredoc":                   "pismo_proxy https://a.example {\naccount {a}\nhealth_request_body <<END\n{\n}\nEND\n}",
		"a continued line":            "pismo_proxy https://b.example \\\n https://a.example {\naccount {a}\n}",
		"a response":                  "pismo_proxy https://a.example {\naccount {a}\n@e status 5xx\nhandle_response @e {\nrespond 500\n}\n}",
		"a transport without options": "pismo_proxy https://a.example {\ntransport pismo {\n}\naccount {a}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(snippets + inSite(site))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`"account":"{a}"`, `"handler":"pismo_auth"},{`, `"protocol":"pismo","tls":{}}`, `{"dial":"a.example:443"}]`} {
				if !strings.Contains(string(config), want) {
					t.Errorf("%s is missing in %s", want, config)
				}
			}
		})
	}
}
