// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

var scriptCalls = regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=([0-9]+)`)

// scripts returns how many scripts a server was asked to run.
func (s *server) scripts(t *testing.T) (n int) {
	t.Helper()
	for _, match := range scriptCalls.FindAllStringSubmatch(s.cli(t, "INFO", "commandstats"), -1) {
		calls, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		n += calls
	}
	return n
}

// A server executes a script, and the answer is lost or is a failure that will
// pass. The store does not send the script again: package fleet decides.
func TestStore_SendsNothingTwice(t *testing.T) {
	for name, args := range map[string][]string{
		"one server": nil,
		"a cluster":  {"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", freePort(t)},
	} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t, args...)
			if s == nil {
				return
			}
			p := tamper(t, s)
			config := redisstore.Config{Addr: []string{p.addr}}
			if args != nil {
				_, port, _ := net.SplitHostPort(p.addr)
				s.cli(t, "CONFIG", "SET", "cluster-announce-port", port)
				s.cli(t, "CONFIG", "SET", "cluster-announce-ip", "127.0.0.1")
				s.cli(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
				config.Addr = []string{p.addr, p.addr}
			}
			store := newStore(t, config)
			awaitNil(t, func() error { return useAll(t, store) })
			for _, answer := range []string{
				"-LOADING Redis is loading\r\n", "-TRYAGAIN Try again\r\n", "-CLUSTERDOWN It is down\r\n", "-MASTERDOWN It is down\r\n",
				"cut",
			} {
				awaitNil(t, func() error { return useAll(t, store) })
				p.answer(func(b []byte) []byte {
					// Only the answers of scripts: arrays that begin with a string.
					if !strings.HasPrefix(string(b), "*2\r\n$") {
						return b
					}
					if answer == "cut" {
						return nil
					}
					return []byte(answer)
				})
				before := s.scripts(t)
				_, err := store.Take(t.Context(), "p1:"+answer, 3, time.Minute)
				p.answer(nil)
				if n := s.scripts(t) - before; n != 1 || err == nil {
					t.Errorf("%q: the server was asked %d times, want once; error %v", answer, n, err)
				}
			}
		})
	}
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
