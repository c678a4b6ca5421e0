// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The account is in the path, the query, the user's id and headers. Caddy logs
// these in the access log, with each error, and at level DEBUG. The log format
// pismo shows it nowhere, whichever format it wraps.
func TestLogFormat_NoAccountInAnyLog(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]string{
		"json":    "pismo",
		"console": block("pismo", "wrap console"),
		"filter":  block("pismo", block("wrap filter", "wrap json", "request>remote_ip delete")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			searchLogsForAccount(t, format)
		})
	}
}

func searchLogsForAccount(t *testing.T, format string) {
	t.Helper()
	p := newPlatform(t, passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/v1/accounts/"+alice+"/next?from="+alice)
		w.Header().Set("X-Account", alice)
		if strings.HasPrefix(r.URL.Path, "/broken") {
			panic(http.ErrAbortHandler)
		}
	})})
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	const byUser = "account {http.auth.user.id}"
	address, access := freeport.Address(t), filepath.Join(t.TempDir(), "access.log")
	s := serverConfig{
		format: format,
		global: p.client("hosts 127.0.0.1"),
		sites: block("http://"+address, "bind 127.0.0.1", "tracing",
			block("log", "output file "+access, "format "+format),
			"log_append owner {http.auth.user.id}",
			"log_append where /accounts/{http.auth.user.id}",
			block("basic_auth", alice+" "+string(hash)),
			block("handle /dead/*", block("pismo_proxy "+freeport.Address(t), byUser)),
			block("handle /handled/*", block("pismo_proxy "+freeport.Address(t), byUser, "errors handle")),
			block("handle /moved/*", "rewrite * /v1/accounts/{http.auth.user.id}", "redir * /v1/accounts/{http.auth.user.id}"),
			block("handle /error/*", `error "no account {http.auth.user.id}" 500`),
			block("handle /pages/*", "templates", "root "+t.TempDir(), "try_files {path} /{http.auth.user.id}", "file_server"),
			block("handle", block("pismo_proxy "+p.Host(), "account_header X-Account-Id [0-9]+", "verbose_logs", "header_up X-Owner {http.auth.user.id}")),
		) + "\n",
		env: append(p.env(), "OTEL_TRACES_EXPORTER=none"),
	}
	c := start(t, s)
	to := newClient(t, address, 1)
	visit := func() {
		for _, path := range []string{"/v1/accounts/", "/v1/x?account=", "/v1/x;id=", "/broken/", "/dead/", "/handled/", "/moved/", "/error/", "/pages/", "/v1/accounts/%31%30%32%36%38%31%38%37%31?x=", "/%2e%2e/"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to.url+path+alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(alice, "secret")
			for _, field := range []string{"X-Account-Id", "X-Other", "X-Request-Id", "Baggage", "Cookie", "Traceparent"} {
				req.Header.Set(field, alice)
			}
			req.Header.Set("Referer", "https://bank.example/accounts/"+alice)
			req.Header.Set("User-Agent", "app/"+alice)
			_, _ = to.read(req) // Some get no answer.
		}
	}
	visit()
	p.RevokeAll()
	visit()
	p.FailAlways(passporttest.Status(http.StatusUnauthorized))
	c.invalidate(t, `{"account":"`+alice+`"}`)
	visit()
	for _, path := range []string{"/pismo/clients/" + alice + "/invalidate", "/pismo/" + alice, "/config/apps/" + alice, "/id/" + alice + "?x=" + alice} {
		_, _, _ = c.adminRequest(http.MethodPost, path, "")
	}
	if err := c.load(s); err != nil {
		t.Error(err)
	}
	visit()

	written := map[string]string{"the log": c.logged()}
	text, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	written["the access log"] = string(text)
	for place, text := range written {
		if count := strings.Count(text, "\n"); count < 40 {
			t.Errorf("%s has only %d lines", place, count)
		}
	}
	// The server stores its configuration, which contains the user's name.
	data := filepath.Join(c.dir, "data")
	if err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // The file may be missing.
		}
		text, err := os.ReadFile(path)
		written[fmt.Sprint("the file ", entry.Name())] = string(text)
		return err
	}); err != nil {
		t.Error(err)
	}
	for place, text := range written {
		for line := range strings.Lines(text) {
			if strings.Contains(line, alice) || strings.Contains(line, "%31%30%32") {
				t.Errorf("%s shows the account: %s", place, line)
			}
		}
	}
}
