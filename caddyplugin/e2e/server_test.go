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

// testTimeout is how long a test waits for what does not come.
const testTimeout = time.Minute

// A server is the binary, running.
type server struct {
	tb      testing.TB
	admin   string // the address of the admin API
	dir     string // its home, with everything it writes
	log     string // the file of its log
	command *exec.Cmd
	ended   chan struct{} // closed when it has ended
	failure error         // how it ended; read it after that
}

// A serverConfig is how a server is started.
type serverConfig struct {
	global string   // what is in the global options of its Caddyfile
	sites  string   // what stands after them
	env    []string // what is in its environment, beside the necessary
	format string   // of its log; json if it is empty
}

// caddyfile returns the whole Caddyfile. The server keeps to itself: its admin
// API listens on loopback, it trusts itself without telling the system, and
// gets no certificates from anybody.
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

// start starts a server and waits until it serves. It is stopped when the test
// is over; what it wrote is shown if the test has failed, and a data race that
// it has found fails it.
func start(tb testing.TB, s serverConfig) *server {
	tb.Helper()
	running, err := tryStart(tb, s)
	if err != nil {
		tb.Fatal(err)
	}
	return running
}

// tryStart is start for servers that may refuse to.
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

// run runs the binary in a working directory, and waits for what it sends when
// it serves.
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
	// The test's context ends before what is cleaned up, and it is stopped then.
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

// stop has the server stop as a service manager does, and waits until it has.
func (c *server) stop() {
	c.tb.Helper()
	_ = c.command.Process.Signal(syscall.SIGTERM) // It may have ended.
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

// logged returns everything that the server has written to its log so far.
func (c *server) logged() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		c.tb.Error(err)
	}
	return string(text)
}

// load replaces the configuration, even by one that is the same.
func (c *server) load(s serverConfig) error {
	status, answer, err := c.adminRequest(http.MethodPost, "/load", s.caddyfile(c.admin), "Content-Type", "text/caddyfile", "Cache-Control", "must-revalidate")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, answer)
	}
	return err
}

// get returns what the admin API answers.
func (c *server) get(path string) string {
	c.tb.Helper()
	status, answer, err := c.adminRequest(http.MethodGet, path, "")
	if err != nil || status != http.StatusOK {
		c.tb.Fatalf("GET %s of the admin API: status %d, error %v: %s", path, status, err, answer)
	}
	return answer
}

// adminRequest asks the admin API. Header fields come in pairs of name and
// value.
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
