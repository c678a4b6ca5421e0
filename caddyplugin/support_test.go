// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/pismoauth/pismoauth/caddyplugin"
	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The accounts that tests act for.
const (
	alice = "102681871"
	bob   = "102681872"
)

// A fixture is a fake server with the files and addresses of a Caddyfile.
type fixture struct {
	t       *testing.T
	pismo   *passporttest.Server
	secrets string // a directory with the files key and secret
	addr    string // the address on which Caddy listens
	logs    string // the log file of Caddy
	admin   string
}

// newFixture starts a fake server.
func newFixture(t *testing.T, config passporttest.Config) *fixture {
	t.Helper()
	s := &fixture{t: t, pismo: passporttest.NewServer(t, config), secrets: t.TempDir(), addr: freeport.Address(t), admin: freeport.Address(t)}
	s.logs = filepath.Join(t.TempDir(), "log")
	s.writeSecret("key", s.pismo.ServerKey())
	s.writeSecret("secret", s.pismo.ServerSecret())
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return s
}

func (s *fixture) writeSecret(name, value string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.secrets, name), []byte(value), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// expand replaces the variables of a test's Caddyfile. $PISMO is the address of
// the fake server, $URL is its URL, and $SECRETS is the folder of the secrets.
func (s *fixture) expand(text string) string {
	return strings.NewReplacer("$PISMO", s.pismo.Host(), "$URL", s.pismo.URL(), "$SECRETS", s.secrets).Replace(text)
}

// caddyfile returns a Caddyfile with a site and with a client named main, which
// has more options.
func (s *fixture) caddyfile(options, site string) string {
	return s.expand(fmt.Sprintf(`{
	admin %[4]s
	persist_config off
	auto_https off
	log {
		output file %[5]s
		level DEBUG
	}
	metrics
	pismo {
		client main {
			base_url      $URL
			server_key    {file.$SECRETS/key}
			server_secret {file.$SECRETS/secret}
			%[1]s
		}
	}
}

http://%[2]s {
	%[3]s
}
`, options, s.addr, site, s.admin, s.logs))
}

// start loads a Caddyfile into the Caddy of this process. Caddy stops at the
// end of the test.
func (s *fixture) start(caddyfile string) {
	s.t.Helper()
	if err := load(caddyfile); err != nil {
		s.t.Fatalf("Caddy does not start: %v", err)
	}
	s.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			s.t.Error("Stop:", err)
		}
	})
}

// load loads a Caddyfile. It replaces a running configuration.
func load(caddyfile string) error {
	config, err := adapt(caddyfile)
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// reload replaces the running configuration with a Caddyfile. It makes Caddy
// listen on another port. On the same port, both configurations would listen
// for a while (SO_REUSEPORT), and the old configuration would reset the waiting
// connections.
func (s *fixture) reload(caddyfile string) {
	s.t.Helper()
	elsewhere := s.elsewhere()
	if err := load(elsewhere.Replace(caddyfile)); err != nil {
		s.t.Fatalf("Caddy does not reload: %v", err)
	}
	s.addr, s.admin = elsewhere.Replace(s.addr), elsewhere.Replace(s.admin)
}

// elsewhere replaces the addresses that Caddy listens on.
func (s *fixture) elsewhere() *strings.Replacer {
	return strings.NewReplacer(s.addr, freeport.Address(s.t), s.admin, freeport.Address(s.t))
}

// await waits until happened returns true. Otherwise it fails the test.
func (s *fixture) await(otherwise string, happened func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatal(otherwise)
		}
	}
}

// adapt returns the JSON of a Caddyfile.
func adapt(caddyfile string) ([]byte, error) {
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "not formatted") {
			return nil, fmt.Errorf("warning: %s", warning.Message)
		}
	}
	return config, nil
}

// A reply is a response with its whole body.
type reply struct {
	status int
	header http.Header
	body   string
}

// send sends a request to Caddy.
func (s *fixture) send(method, path, body string, edits ...func(*http.Request)) reply {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, content)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, edit := range edits {
		edit(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if method == http.MethodGet && errors.Is(err, io.EOF) { // A reload closed the queue of the old socket.
		resp, err = http.DefaultClient.Do(req)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(read)}
}

// leaveWhileTokenIsIssued sends a request for alice. It cancels the request
// when its token request has arrived.
func (s *fixture) leaveWhileTokenIsIssued() {
	s.t.Helper()
	ctx, leave := context.WithCancel(s.t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/v1/accounts/"+alice, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = s.pismo.Await(s.t.Context(), func(c passporttest.Counts) bool { return c.TokenRequests == 1 })
		leave()
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		s.t.Fatalf("got status %d", resp.StatusCode)
	}
}

// get sends a GET for an account's data.
func (s *fixture) get(account string, edits ...func(*http.Request)) reply {
	s.t.Helper()
	return s.send(http.MethodGet, "/v1/accounts/"+account, "", edits...)
}

// withField sets a header field of a request.
func withField(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func wantStatus(t *testing.T, r reply, status int) {
	t.Helper()
	if r.status != status {
		t.Errorf("got status %d, want %d: %s", r.status, status, r.body)
	}
}

// wantProblem checks that a reply is a problem of a type.
func wantProblem(t *testing.T, r reply, status int, name string) {
	t.Helper()
	wantStatus(t, r, status)
	var problem struct {
		Type   string
		Status int
	}
	if err := json.Unmarshal([]byte(r.body), &problem); err != nil {
		t.Fatalf("got %q, want a problem", r.body)
	}
	if !strings.HasSuffix(problem.Type, "#"+name) || problem.Status != status || r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s, want %s", r.body, name)
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// serve serves a handler until the test ends.
func serve(t *testing.T, listener net.Listener, handler http.Handler) {
	t.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// log returns the lines that Caddy has logged so far.
func (s *fixture) log() []string {
	s.t.Helper()
	log, err := os.ReadFile(s.logs)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n")
}

// warnings returns the lines above level INFO. It leaves out the HTTP server's
// lines that some protocols need TLS.
func (s *fixture) warnings() []string {
	s.t.Helper()
	var lines []string
	for _, line := range s.log() {
		var entry struct{ Level, Logger, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		if entry.Level != "debug" && entry.Level != "info" && !strings.Contains(entry.Msg, "skipped because it requires TLS") {
			lines = append(lines, line)
		}
	}
	return lines
}
