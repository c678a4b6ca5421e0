// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// Caddy logs URIs, headers and users in the access log, with each error, for
// each attempt, and in the admin API. In this test, it logs at level DEBUG.
func TestLogFormat_NoAccountInAnyLog(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	site := fmt.Sprintf(`log {
		output file %s-access
		format pismo {
			wrap json
		}
	}
	basic_auth {
		%s %s
	}
	tracing
	handle /down/* {
		pismo_proxy %s {
			account {http.auth.user.id}
		}
	}
	handle /error/* {
		pismo_proxy %s {
			account {http.auth.user.id}
			errors handle
		}
	}
	handle /old/* {
		rewrite * /v1/accounts/{http.auth.user.id}
		redir * /v1/accounts/{http.auth.user.id}?from=%s
	}
	handle {
		pismo_proxy $PISMO {
			account_header X-Account-Id [0-9]+
			verbose_logs
		}
	}`, s.logs, alice, passwordHash(t), freeport.Address(t), freeport.Address(t), alice)
	caddyfile := strings.Replace(s.caddyfile("", site), "level DEBUG", "level DEBUG\n\t\tformat pismo", 1)
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	s.start(caddyfile)
	unfollowed := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"/v1/accounts/", "/v1/refusals/EUPI0120?account=", "/down/", "/error/", "/old/", "/v1/accounts/%31%30%32%36%38%31%38%37%31?x="} {
		for _, user := range []string{alice, "nobody"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+path+alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(user, "secret")
			for _, field := range []string{"X-Account-Id", "X-Other-Account", "X-Request-Id", "Baggage"} {
				req.Header.Set(field, alice)
			}
			req.Header.Set("Referer", "https://bank.example/accounts/"+alice)
			resp, err := unfollowed.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	}
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", `{"account":"`+alice+`"}`), http.StatusNoContent)
	s.adminSend(http.MethodGet, "/pismo/clients/"+alice, "")
	files, err := filepath.Glob(s.logs + "*")
	if err != nil || len(files) != 2 {
		t.Fatalf("got the files %q, error %v, want 2 files", files, err)
	}
	for _, file := range files {
		var log []byte
		// Caddy writes the line of a request after its response.
		s.await(filepath.Base(file)+" has fewer than 12 lines", func() bool {
			log, err = os.ReadFile(file)
			return err != nil || strings.Count(string(log), "\n") >= 12
		})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, alice) || strings.Contains(line, "%31%30%32") {
				t.Errorf("the log shows the account: %s", line)
			}
		}
	}
}
