// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
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

// A redisServer is the test's own redis-server.
type redisServer struct {
	address string
	command *exec.Cmd
}

// startRedis starts a redis-server without persistence. If redis-server is not
// installed, it logs that and returns nil.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Log("LEFT OUT: redis-server is not installed, so no Caddy has shared tokens in a real one.")
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{address: listener.Addr().String()}
	_ = listener.Close()
	_, port, _ := net.SplitHostPort(s.address)
	s.command = exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	await(t, "redis-server does not answer", func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", s.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return s
}

// kill ends the server with SIGKILL.
func (s *redisServer) kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// cli runs redis-cli.
func (s *redisServer) cli(t *testing.T, args ...string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.address)
	out, err := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-e", "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v: %s", err, out)
	}
	return string(out)
}

// await waits until happened returns true. Otherwise it fails the test.
func await(t *testing.T, otherwise string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A server is a Caddy in its own process.
type server struct {
	t       *testing.T
	config  string // the Caddyfile
	env     []string
	dir     string // its home directory, with its log
	address string // of its site
	admin   string
	command *exec.Cmd
	ended   chan struct{}
}

// newServer starts a Caddy, and waits until it serves. In the Caddyfile, $ADMIN
// and $SITE are its addresses. It ends with the test.
func newServer(t *testing.T, config string, env ...string) *server {
	t.Helper()
	s := &server{t: t, env: env, dir: t.TempDir(), address: freeport.Address(t), admin: freeport.Address(t)}
	s.config = strings.NewReplacer("$ADMIN", s.admin, "$SITE", s.address).Replace(config)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// start starts the process.
func (s *server) start() {
	s.t.Helper()
	file := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(s.config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	// The test's context ends before its cleanup, which stops the process.
	s.command = exec.CommandContext(context.WithoutCancel(s.t.Context()), binary, "run", "--config", file, "--adapter", "caddyfile")
	s.command.Dir = s.dir
	s.command.Env = append([]string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}, s.env...)
	s.command.Stdout, s.command.Stderr = log, log
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func(command *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = command.Wait()
	}(s.command, s.ended)
	await(s.t, "Caddy does not begin to serve: "+s.log(), func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(s.t.Context(), "tcp", s.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// stop ends the process with the signal of a service manager.
func (s *server) stop() {
	s.t.Helper()
	_ = s.command.Process.Signal(syscall.SIGTERM) // It may have ended.
	select {
	case <-s.ended:
	case <-time.After(testTimeout):
		_ = s.command.Process.Kill()
		<-s.ended
		s.t.Error("Caddy did not stop when it was told to")
	}
	if log := s.log(); strings.Contains(log, "WARNING: DATA RACE") || strings.Contains(log, "panic") {
		s.t.Errorf("Caddy has found a data race, or panicked:\n%s", log)
	}
}

// log returns the log of the process.
func (s *server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Error(err)
	}
	return string(text)
}

// send sends a request and returns the body of the answer. Caddy closes idle
// connections in a reload: a GET is then sent once more.
func (s *server) send(method, url, body string) (string, error) {
	var answer string
	var err error
	for range 10 {
		if answer, err = s.sendOnce(method, url, body); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			break
		}
	}
	return answer, err
}

func (*server) sendOnce(method, url, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return string(text), err
}

// reload loads the same configuration again.
func (s *server) reload() error {
	_, err := s.sendOnce(http.MethodPost, "http://"+s.admin+"/load", s.config)
	return err
}

// get returns the answer to a request of an account.
func (s *server) get(account string) error {
	_, err := s.send(http.MethodGet, "http://"+s.address+"/v1/accounts/"+account, "")
	return err
}

// ask returns an answer of the admin API.
func (s *server) ask(path string) string {
	s.t.Helper()
	answer, err := s.send(http.MethodGet, "http://"+s.admin+path, "")
	if err != nil {
		s.t.Errorf("GET %s of the admin API: %v", path, err)
	}
	return answer
}

// inspect returns the state of the clients, as the command prints it.
func (s *server) inspect() string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), binary, "pismo", "inspect", "--clients", "--address", s.admin).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "operations succeeded") {
		s.t.Errorf("inspect: %v: %s", err, out)
	}
	return string(out)
}
