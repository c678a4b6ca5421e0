// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/freeport"
)

// testTimeout bounds how long a test waits for an event.
const testTimeout = time.Minute

// A server is a running binary.
type server struct {
	tb      testing.TB
	admin   string // the address of the admin API
	dir     string // its home directory, with all its files
	log     string // the file of its log
	command *exec.Cmd
	ended   chan struct{} // closed when it has ended
	failure error         // the error with which it ended; read it after ended is closed
}

// A serverConfig is the configuration of a server.
type serverConfig struct {
	global string   // the global options of its Caddyfile
	sites  string   // the sites of its Caddyfile
	env    []string // more variables of its environment
	format string   // the format of its log; json if it is empty
}

// caddyfile returns the whole Caddyfile. The admin API of the server listens on
// loopback. The server does not install its authority in the system, and
// requests no certificates.
func (s serverConfig) caddyfile(admin string) string {
	return `{
	admin ` + admin + `
	auto_https off
	skip_install_trust
	grace_period 5s
	log {
		output stderr
		format ` + cmp.Or(s.format, "json") + `
		level DEBUG
	}
` + s.global + `
}
` + s.sites
}

// start starts a server and waits until it serves. The server ends with the
// test. If the test has failed, the log of the server is shown. A data race in
// the server fails the test.
func start(tb testing.TB, s serverConfig) *server {
	tb.Helper()
	running, err := tryStart(tb, s)
	if err != nil {
		tb.Fatal(err)
	}
	return running
}

// tryStart is start for a server that may fail to start.
func tryStart(tb testing.TB, s serverConfig) (*server, error) {
	tb.Helper()
	c := newServer(tb)
	config := filepath.Join(c.dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile(c.admin)), 0o600); err != nil {
		tb.Fatal(err)
	}
	return c, c.run(c.dir, s.env, "--config", config, "--adapter", "caddyfile")
}

// newServer returns a server that does not run yet.
func newServer(tb testing.TB) *server {
	tb.Helper()
	dir := tb.TempDir()
	return &server{
		tb:    tb,
		admin: freeport.Address(tb),
		dir:   dir,
		log:   filepath.Join(dir, "log"),
		ended: make(chan struct{}),
	}
}

// run runs the binary in a working directory. It waits until the binary reports
// that it serves.
func (c *server) run(workingDir string, env []string, args ...string) error {
	c.tb.Helper()
	pingback, err := new(net.ListenConfig).Listen(c.tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		c.tb.Fatal(err)
	}
	defer pingback.Close()
	log, err := os.Create(c.log)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer log.Close()

	word := rand.Text()
	// The test's context ends before its cleanup, which stops the server.
	c.command = exec.CommandContext(context.WithoutCancel(c.tb.Context()), binary, append([]string{"run", "--pingback", pingback.Addr().String()}, args...)...)
	c.command.Dir = workingDir
	c.command.Env = append([]string{
		"HOME=" + c.dir,
		"XDG_CONFIG_HOME=" + filepath.Join(c.dir, "config"),
		"XDG_DATA_HOME=" + filepath.Join(c.dir, "data"),
		"PATH=" + os.Getenv("PATH"),
		"GORACE=atexit_sleep_ms=0",
	}, env...)
	c.command.Stdin = strings.NewReader(word)
	c.command.Stdout, c.command.Stderr = log, log
	if err := c.command.Start(); err != nil {
		c.tb.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		c.failure = c.command.Wait()
	}()
	c.tb.Cleanup(c.stop)

	serves := make(chan error, 1)
	go func() { serves <- awaitWord(pingback, word) }()
	select {
	case err := <-serves:
		return err
	case <-c.ended:
		return fmt.Errorf("the server ended: %w: %s", c.failure, c.logged())
	case <-time.After(testTimeout):
		return errors.New("the server does not begin to serve")
	}
}

// awaitWord waits for a connection that sends word.
func awaitWord(listener net.Listener, word string) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != word {
		err = fmt.Errorf("the server sends %q, want %q", got, word)
	}
	return err
}

// stop ends the server with the signal of a service manager, and waits for its
// end.
func (c *server) stop() {
	c.tb.Helper()
	_ = c.command.Process.Signal(syscall.SIGTERM) // The server may have ended.
	select {
	case <-c.ended:
	case <-time.After(testTimeout):
		_ = c.command.Process.Kill()
		<-c.ended
		c.tb.Error("the server did not stop when it was told to")
	}
	logged := c.logged()
	if strings.Contains(logged, "WARNING: DATA RACE") || strings.Contains(logged, "panic") {
		c.tb.Error("the server has found a data race, or panicked")
	}
	if c.tb.Failed() {
		const most = 12_000
		c.tb.Logf("the server wrote, in the end:\n%s", logged[max(0, len(logged)-most):])
	}
}

// logged returns the log of the server.
func (c *server) logged() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		c.tb.Error(err)
	}
	return string(text)
}

// load replaces the configuration, even with an equal configuration.
func (c *server) load(s serverConfig) error {
	status, answer, err := c.adminRequest(http.MethodPost, "/load", s.caddyfile(c.admin), "Content-Type", "text/caddyfile", "Cache-Control", "must-revalidate")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	return err
}

// get returns an answer of the admin API.
func (c *server) get(path string) string {
	c.tb.Helper()
	status, answer, err := c.adminRequest(http.MethodGet, path, "")
	if err != nil || status != http.StatusOK {
		c.tb.Fatalf("GET %s of the admin API: status %d, error %v: %s", path, status, err, answer)
	}
	return answer
}

// adminRequest sends a request to the admin API. Header fields are pairs of
// name and value.
func (c *server) adminRequest(method, path, body string, header ...string) (status int, answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.admin+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(resp.Body)
	return resp.StatusCode, text.String(), err
}
