// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// An outage makes one line at its beginning and one line at its end. This holds
// for any number of requests, even if some succeed in between.
func TestLogger_LogsStateChangesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		proxy, logged := proxyOver(t, func(r *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			}
			return answeringBase(r)
		})
		request := func(status int) { check(t, "status", call(proxy, inbound(t)).status, status) }
		request(http.StatusOK)
		check(t, "before", summary(logged), "")

		down.Store(true)
		for range 100 {
			concurrently(10, func(int) { request(http.StatusBadGateway) })
			time.Sleep(time.Second)
		}
		const begun = "WARN requests fail upstream_unreachable"
		check(t, "in the outage", summary(logged), begun)
		for range 50 { // Two kinds of failure alternate during an outage.
			down.Store(!down.Load())
			call(proxy, inbound(t))
			time.Sleep(time.Second)
		}
		check(t, "in between", summary(logged), begun)

		down.Store(false)
		for range 59 {
			request(http.StatusOK)
			time.Sleep(time.Second)
		}
		check(t, "a moment later", summary(logged), begun)
		time.Sleep(2 * time.Second)
		concurrently(100, func(int) { request(http.StatusOK) })
		const over = begun + "; INFO requests no longer fail upstream_unreachable"
		check(t, "when it is over", summary(logged), over)
		end := logged.lines()[1]
		check(t, "failures", end["failures"], any(float64(1025)))
		check(t, "lasted", time.Duration(end["lasted"].(float64)).Round(time.Minute), 2*time.Minute)

		down.Store(true)
		request(http.StatusBadGateway)
		check(t, "another", summary(logged), over+"; "+begun)
	})
}

// Each kind of failure has its own lines. The end of one kind does not end
// another kind.
func TestLogger_KindsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		proxy, logged := proxyOver(t, func(r *http.Request) (*http.Response, error) {
			if failure != nil {
				return nil, failure
			}
			return answeringBase(r)
		})
		for range 3 {
			for _, failure = range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF, transport.ErrNoAccount} {
				call(proxy, inbound(t))
			}
			time.Sleep(time.Minute)
		}
		check(t, "begun", summary(logged), "WARN requests fail upstream_timeout; WARN requests fail upstream_unreachable; ERROR requests fail misconfigured")
		failure = io.ErrUnexpectedEOF
		call(proxy, inbound(t))
		failure = nil
		time.Sleep(30 * time.Second)
		call(proxy, inbound(t))
		var ended []string
		for _, line := range logged.lines()[3:] {
			ended = append(ended, fmt.Sprint(line["error_type"]))
		}
		slices.Sort(ended)
		check(t, "ended", strings.Join(ended, " "), "misconfigured upstream_timeout")
		time.Sleep(30 * time.Second)
		call(proxy, inbound(t))
		check(t, "lines", len(logged.lines()), 6)
	})
}

// The log names each misconfiguration.
func TestLogger_NamesMisconfiguration(t *testing.T) {
	var failure error
	proxy, logged := proxyOver(t, func(*http.Request) (*http.Response, error) { return nil, failure })
	for range 3 {
		for _, failure = range []error{
			transport.ErrHostNotListed,
			fmt.Errorf("another layer: %w", transport.ErrAuthorizationPresent),
			&tokensource.ConfigError{Field: "Config.Field", Reason: "is not set"},
			tokensource.NewError(tokensource.ErrMisconfigured, nil),
		} {
			wantProblem(t, call(proxy, inbound(t)), http.StatusInternalServerError, "misconfigured")
		}
	}
	lines := logged.lines()
	check(t, "lines", len(lines), 4)
	for i, want := range []string{string(transport.ErrHostNotListed), string(transport.ErrAuthorizationPresent), "Config.Field: is not set", tokensource.ErrMisconfigured.Error()} {
		check(t, want, strings.Contains(fmt.Sprint(lines[i]["error"]), want), true)
		check(t, "level", lines[i]["level"], any("ERROR"))
		check(t, "answered", lines[i]["answered"], any(float64(500)))
	}
}

// The number of remembered failures is bounded, and so is the number of log
// lines.
func TestLogger_BoundsDistinctFailures(t *testing.T) {
	n := 0
	proxy, logged := proxyOver(t, func(*http.Request) (*http.Response, error) {
		n++
		return nil, &tokensource.ConfigError{Field: fmt.Sprint("Config.", n), Reason: "is wrong"}
	})
	for range 1000 {
		call(proxy, inbound(t))
	}
	check(t, "few lines", len(logged.lines()) < 100, true)

	proxy, logged = proxyOver(t, func(*http.Request) (*http.Response, error) {
		n++ // Error texts of package net contain a port, which changes.
		return nil, &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: n}, Err: syscall.ECONNRESET}
	})
	for range 1000 {
		call(proxy, inbound(t))
	}
	check(t, "lines", len(logged.lines()), 1)
}

// Mistakes of clients are not logged. Otherwise clients could fill the log.
func TestLogger_IgnoresClientFailures(t *testing.T) {
	for name, account := range map[string]middleware.AccountFunc{
		"unauthenticated": denyingAccount(middleware.ErrUnauthenticated),
		"forbidden":       denyingAccount(middleware.ErrForbidden),
		"of the user":     denyingAccount(errors.New("no")),
		"nobody":          func(*http.Request) (tokensource.Account, error) { return tokensource.Account{}, nil },
	} {
		proxy, logged := proxyOver(t, answeringBase, func(c *middleware.ProxyConfig) { c.Account = account })
		call(proxy, inbound(t))
		check(t, name, logged.String(), "")
	}
	proxy, logged := proxyOver(t, func(r *http.Request) (*http.Response, error) {
		_, err := io.ReadAll(r.Body)
		return nil, err
	})
	for _, method := range []string{http.MethodTrace, http.MethodConnect} {
		r := inbound(t)
		r.Method = method
		call(proxy, r)
	}
	r := inbound(t)
	r.URL = &url.URL{Path: "/.."}
	call(proxy, r)
	r = inbound(t)
	r.Method, r.ContentLength = http.MethodPost, 5
	r.Body = io.NopCloser(failingReader{&http.MaxBytesError{Limit: 1}})
	wantProblem(t, call(proxy, r), http.StatusRequestEntityTooLarge, "body-too-large")
	check(t, "log", logged.String(), "")
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// Errors of other packages may contain accounts and tokens.
func TestLogger_HidesRequest(t *testing.T) {
	secret := errors.New("SENTINELTOKEN of " + alice)
	for _, failure := range []error{
		secret,
		&url.Error{Op: "Get", URL: "https://sandbox.pismolabs.io/v1/accounts/" + alice, Err: secret},
		errors.Join(tokensource.NewError(tokensource.ErrMisconfigured, secret), secret),
		tokensource.NewError(tokensource.ErrUnavailable, secret),
		errors.Join(middleware.ErrVerifierUnavailable, secret),
		errors.Join(transport.ErrPlaintext, secret),
		fmt.Errorf("%w: %w", context.DeadlineExceeded, secret),
	} {
		proxy, logged := proxyOver(t, func(*http.Request) (*http.Response, error) { return nil, failure })
		r := inbound(t, "Authorization", "Bearer SENTINELTHEIRS", "X-Account-Id", alice)
		r.URL.Path = "/v1/accounts/" + alice
		call(proxy, r)
		text := logged.String()
		check(t, "logged", text != "", true)
		for _, leak := range []string{"SENTINEL", alice, "/v1/"} {
			if strings.Contains(text, leak) {
				t.Errorf("%q is in the log: %s", leak, text)
			}
		}
	}
}

// The log says which host could not be reached, and why.
func TestLogger_NamesNetworkReason(t *testing.T) {
	for want, failure := range map[string]error{
		"connect: connection refused":        &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)},
		"lookup pismo.example: no such host": &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "pismo.example"}},
	} {
		proxy, logged := proxyOver(t, func(*http.Request) (*http.Response, error) { return nil, failure })
		call(proxy, inbound(t))
		check(t, want, strings.Contains(logged.String(), want), true)
	}
}

// Without a Logger, the current default logger logs failures.
func TestLogger_DefaultIsSlogDefault(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	p := newPlatform(t, passporttest.Config{})
	p.FailAlways(passporttest.Status(http.StatusInternalServerError))
	nobodys := func(c *middleware.ProxyConfig) { c.Logger = nil }
	proxy := p.proxy(t, nobodys)
	logger, logged := newLogger()
	slog.SetDefault(logger)
	wantProblem(t, call(proxy, inbound(t)), http.StatusBadGateway, "unavailable")
	check(t, "log", summary(logged), "WARN requests fail unavailable")
}

// Failures are logged even if the program has its own ErrorHandler.
func TestLogger_LogsBesideErrorHandler(t *testing.T) {
	p := newPlatform(t, passporttest.Config{ServerSecret: "right"})
	p.FailAlways(passporttest.RateLimited(time.Second))
	logger, logged := newLogger()
	handler := p.wrap(t, nil, func(c *middleware.Config) {
		c.Logger = logger
		c.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusTeapot) }
	})
	for range 10 {
		check(t, "status", call(handler, inbound(t)).status, http.StatusTeapot)
	}
	check(t, "log", summary(logged), "WARN requests fail rate_limited")
	line := logged.lines()[0]
	check(t, "answered", line["answered"], any(float64(503)))
	check(t, "the time to wait", strings.Contains(fmt.Sprint(line["error"]), "retry after"), false)
}

func TestLogger_LogsBrokenResponses(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	logger, logged := newLogger()
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.Logger = logger }))
	for range 5 {
		_, err := s.try(s.request(t, http.MethodGet, "/", nil))
		check(t, "error", errors.Is(err, io.ErrUnexpectedEOF), true)
	}
	check(t, "log", summary(logged), "WARN requests fail upstream_broke_off")
}
