// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

func TestConfig_ReportsEveryFault(t *testing.T) {
	_, err := transport.New(transport.Config{
		Hosts:        []string{"https://sandbox.pismolabs.io", "*.pismolabs.io"},
		Base:         (*http.Transport)(nil),
		MaxAttempts:  -1,
		RetryMethods: []string{http.MethodPut, ""},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"pismoauth: Config.Source: is not set",
		`pismoauth: Config.Hosts: "https://sandbox.pismolabs.io" is a URL`,
		`pismoauth: Config.Hosts: "*.pismolabs.io" is a pattern`,
		"pismoauth: Config.Base: is a nil pointer",
		"pismoauth: Config.MaxAttempts: is negative",
		"pismoauth: Config.RetryMethods: holds an empty method",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if fault, ok := errors.AsType[*tokensource.ConfigError](err); !ok || !strings.HasPrefix(fault.Field, "Config.") || fault.Reason == "" {
		t.Errorf("got fault %+v, want a *ConfigError with field and reason", fault)
	}
	if !errors.Is(err, tokensource.ErrMisconfigured) {
		t.Error("it is not ErrMisconfigured")
	}
}

// A host in such a form would match no request.
func TestConfig_RefusesInvalidHosts(t *testing.T) {
	for _, host := range []string{
		"", " ", ":443", "host:", "host:https", "host/path", "host?query", "host#fragment", "user@host", "user:secret@host",
		"http://host", "//host", "a host", "host\n", "[::1", "::1", "2001:db8::1", "[]", "[]:443", "*", "*.host", "host:*",
		"b\u00fccher.example", "pİsmo.example", "h%6fst", "[fe80::1%25eth0]",
	} {
		_, err := transport.New(transport.Config{Source: newSource(t, &fakeIssuer{}), Hosts: []string{host}})
		fault, ok := errors.AsType[*tokensource.ConfigError](err)
		if !ok || fault.Field != "Config.Hosts" {
			t.Errorf("%q: got error %v, want a fault of Config.Hosts", host, err)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("%q: the error has a line break in it", host)
		}
	}
}

func TestConfig_RequiresHosts(t *testing.T) {
	_, err := transport.New(transport.Config{Source: newSource(t, &fakeIssuer{})})
	if fault, ok := errors.AsType[*tokensource.ConfigError](err); !ok || fault.Field != "Config.Hosts" {
		t.Errorf("got error %v, want a fault of Config.Hosts", err)
	}
}

// Two idle connections per host, the default of net/http, made 32 workers open
// 1,900 connections for these requests.
func TestConfig_DefaultBaseKeepsConnections(t *testing.T) {
	m := &fakeIssuer{}
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(m.guard(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	rt := newTransport(t, m, nil, listing(server))

	const workers, requests = 32, 100
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for range requests {
				if r, err := trySend(rt, newRequest(t, http.MethodGet, server.URL, nil)); err != nil || r.status != http.StatusOK {
					t.Errorf("got status %d, error %v", r.status, err)
					return
				}
			}
		})
	}
	running.Wait()
	if n := opened.Load(); n > 3*workers {
		t.Errorf("%d requests opened %d connections, want at most %d", workers*requests, n, 3*workers)
	}
	wantIssued(t, m, 1)
}
