// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// TestMain runs the roles, since this binary is the child process too.
func TestMain(m *testing.M) {
	if name := os.Getenv(roleVariable); name != "" {
		exit(runRole(name, os.Stdin, os.Stdout))
		return
	}
	os.Exit(m.Run())
}

func TestSeries_MeasuresEveryVariantEachRound(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // Otherwise every child sleeps for a second at its end.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := series{comparison: library, rounds: 2, warmUp: 20, requests: 200, slices: 2, profiles: t.TempDir()}
	results, err := s.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range connections {
		for _, v := range library.variants {
			samples := results[setting{n, v}]
			if len(samples) != s.rounds {
				t.Errorf("%d connections, %s: %d samples, want %d", n, v, len(samples), s.rounds)
			}
			for _, got := range samples {
				if got.cpu <= 0 || got.rate <= 0 || got.p99 <= 0 {
					t.Errorf("%d connections, %s: measured %+v", n, v, got)
				}
			}
		}
	}
	profiles, err := filepath.Glob(filepath.Join(s.profiles, "*.pprof"))
	if want := len(connections) * len(library.variants); err != nil || len(profiles) != want {
		t.Errorf("there are %d profiles and error %v, want %d", len(profiles), err, want)
	}
}

// A comparison is fair only if all variants send the same.
func TestVariants_SendTheSame(t *testing.T) {
	var sent string
	fake := passporttest.NewServer(t, passporttest.Config{
		Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, _ := passporttest.TokenFromContext(r.Context())
			r.Header.Del("Authorization")    // Each variant has its own token
			r.Header.Del("X-Forwarded-Host") // and its own address.
			sent = fmt.Sprint(r.Method, r.URL, token.Account, r.Header)
			_, _ = io.WriteString(w, answer)
		}),
	})
	var first string
	for _, v := range library.variants {
		handler, err := v.handler(platform{fake.URL(), fake.ServerKey(), fake.ServerSecret()})
		if err != nil {
			t.Fatal(err)
		}
		if err := newClient(t, handler).makeRequest(); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
		if first == "" {
			first = sent
		}
		if sent != first {
			t.Errorf("%s sends %s, want %s", v, sent, first)
		}
	}
}

func TestClient_RequiresTheAccountAsAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"the account":                   {http.StatusOK, answer, true},
		"another account":               {http.StatusOK, strings.Replace(answer, account, "102681872", 1), false},
		"nothing":                       {http.StatusOK, "", false},
		"a refusal":                     {http.StatusUnauthorized, "", false},
		"a refusal with the right body": {http.StatusBadGateway, answer, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			_, err := loadRequest{Requests: 10}.send([]*client{c})
			if (err == nil) != test.ok {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// newClient returns a client of a server with this handler.
func newClient(t *testing.T, handler http.Handler) *client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	clients, err := loadTarget{server.Listener.Addr().String(), 1}.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients[0].Close() })
	return clients[0]
}

func TestRotated_EveryVariantBeginsAndFollows(t *testing.T) {
	begins, follows := map[variant]bool{}, map[[2]variant]bool{}
	for round := range 2 * len(library.variants) {
		order := rotated(library.variants, round)
		begins[order[0]] = true
		for i := range order[1:] {
			follows[[2]variant{order[i], order[i+1]}] = true
		}
	}
	if len(begins) != len(library.variants) || len(follows) != 2*len(library.variants) {
		t.Errorf("%d variants begin, and %d follow another", len(begins), len(follows))
	}
}

func TestTable_SaysWhichTargetIsMissed(t *testing.T) {
	for _, test := range []struct {
		bare, pooled, fixed time.Duration // in microseconds
		want                string
	}{
		{100, 80, 88, "| 88.0 | 0.88 | 1.10 | 2000 | 3ms | met |"},
		{100, 80, 89, "| 89.0 | 0.89 | 1.11 | 2000 | 3ms | **missed** |"},
		{100, 95, 91, "| 91.0 | 0.91 | 0.96 | 2000 | 3ms | **missed** |"},
	} {
		results := map[setting][]sample{}
		for _, n := range connections {
			for v, cpu := range map[variant]time.Duration{bareProxy: test.bare, pooledProxy: test.pooled, fixedAccount: test.fixed, fromJWT: 1} {
				results[setting{n, v}] = []sample{{cpu * time.Microsecond, 2000, 3 * time.Millisecond}}
			}
		}
		var out bytes.Buffer
		library.writeTable(&out, results)
		if n := strings.Count(out.String(), test.want); n != len(connections) {
			t.Errorf("%d rows end with %q, want %d:\n%s", n, test.want, len(connections), &out)
		}
	}
}
