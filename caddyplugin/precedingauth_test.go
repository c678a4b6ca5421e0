// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A transport whose requests cannot have an account would answer all of them
// with 500. If possible, that is an error when the configuration is loaded.
func TestTransport_WithoutAccount(t *testing.T) {
	const (
		auth  = "pismo_auth {\n account " + alice + "\n}\n"
		proxy = "reverse_proxy $PISMO {\n transport pismo\n}\n"
	)
	for name, test := range map[string]struct {
		site, more string
		known      bool // whether the fault is known when the configuration is loaded
	}{
		"alone":                  {proxy, "", true},
		"behind auth":            {auth + proxy, "", false},
		"in a handle":            {auth + "handle {\n" + proxy + "}", "", false},
		"auth in a route":        {"route {\n" + auth + "}\n" + proxy, "", false},
		"both in a route":        {"route {\n" + auth + proxy + "}", "", false},
		"auth behind it":         {"route {\n" + proxy + auth + "}", "", true},
		"auth in another handle": {"handle /a/* {\n" + auth + proxy + "}\nhandle {\n" + proxy + "}", "", true},
		"in another proxy":       {"pismo_proxy $PISMO {\n account " + alice + "\n @ok status 200\n handle_response @ok {\n" + proxy + "}\n}", "", false},
		"of its own account":     {"reverse_proxy $PISMO {\n transport pismo {\n account " + alice + "\n}\n}", "", false},
		"auth on another site":   {proxy, "http://other.example:$PORT {\n" + auth + proxy + "}", true},
		"on another site":        {auth + proxy, "http://other.example:$PORT {\n" + proxy + "}", true},
		"auth on another server": {proxy, "http://127.0.0.1:0 {\n" + auth + proxy + "}", true},
		"on another server":      {auth + proxy, "http://127.0.0.1:0 {\n" + proxy + "}", true},
		"a named route":          {"invoke named", "&(named) {\n" + auth + proxy + "}", false},
		"auth in a named route":  {"route {\n invoke named\n" + proxy + "}", "&(named) {\n" + auth + "}", false},
		"in an error route":      {auth + "respond ok\nhandle_errors {\n" + proxy + "}", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // Caddy provisions servers in any order.
				s := newFixture(t, passporttest.Config{})
				_, port, _ := strings.Cut(s.addr, ":")
				more := strings.ReplaceAll(s.expand(test.more), "$PORT", port)
				site := s.caddyfile("", test.site)
				if strings.HasPrefix(more, "&") {
					site += more
				} else {
					site += "\n" + more
				}
				err := load(site)
				if known := err != nil && strings.Contains(err.Error(), "client main: account: is not set, and no pismo_auth is in front"); known != test.known || err != nil && !known {
					t.Errorf("got error %v, want known fault %v", err, test.known)
				}
				if err := caddy.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Otherwise, the log says what to do when a request arrives.
func TestTransport_WithoutAccountAtRunTime(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("", "invoke named") + s.expand("\n&(named) {\n reverse_proxy $PISMO {\n transport pismo\n}\n}\n"))
	wantProblem(t, s.get(alice), http.StatusInternalServerError, "misconfigured")
	if lines := s.warnings(); len(lines) != 1 || !strings.Contains(lines[0], "no account is known; put pismo_auth in front of reverse_proxy, use pismo_proxy, or set account in transport pismo") {
		t.Errorf("got the warnings %s, want one that says what to do", lines)
	}
	if counts := s.pismo.Counts(); counts.TokenRequests+counts.ResourceRequests != 0 {
		t.Errorf("the platform got requests: %+v", counts)
	}
}
