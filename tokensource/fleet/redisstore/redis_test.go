// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// serverVariable names the program that the tests use in place of redis-server,
// such as valkey-server.
const serverVariable = "PISMO_TEST_REDIS_SERVER"

// A server is the test's own redis-server on a free port.
type server struct {
	addr string
	dir  string
	name string // of the program
	args []string
	cmd  *exec.Cmd

	config string // a file, or ""
}

// startRedis starts a redis-server without persistence. $PORT in args is its
// port. The first of args may be a file with the configuration. If redis-server
// is not installed, startRedis logs that and returns nil.
func startRedis(t *testing.T, args ...string) *server {
	t.Helper()
	return startServer(t, cmp.Or(os.Getenv(serverVariable), "redis-server"), args...)
}

func startServer(t *testing.T, name string, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Logf("LEFT OUT: %s is not installed, so nothing here ran on a real one.", name)
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), dir: t.TempDir(), name: name, args: args}
	if len(args) > 0 && !strings.HasPrefix(args[0], "--") {
		s.config, s.args = args[0], args[1:]
	}
	l.Close()
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir}
	if !slices.Contains(s.args, "--sentinel") {
		args = append(args, "--save", "", "--appendonly", "no")
	}
	for _, arg := range s.args {
		args = append(args, strings.ReplaceAll(arg, "$PORT", port))
	}
	if s.config != "" { // It has to be the first.
		args = append([]string{s.config}, args...)
	}
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), s.name, args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", s.addr)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
}

// kill ends the server with SIGKILL.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// cli runs redis-cli.
func (s *server) cli(t *testing.T, args ...string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	out, err := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-e", "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v: %s", err, out)
	}
	return string(out)
}

// write writes a file with content, and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
