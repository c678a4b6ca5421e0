// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A trackedHandler records its log and the way in which a handler ended.
type trackedHandler struct {
	http.Handler

	ended chan any // the value of the panic, or nil
}

func (h trackedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		panicked := recover()
		h.ended <- panicked
		if panicked != nil {
			panic(panicked)
		}
	}()
	h.Handler.ServeHTTP(w, r)
}

func newTrackedHandler(handler http.Handler) trackedHandler {
	return trackedHandler{handler, make(chan any, 100)}
}

// Another client may wait for the same issuance.
func TestIssuance_SurvivesClientDisconnect(t *testing.T) {
	fake := passporttest.NewServer(t, passporttest.Config{})
	waiting := make(chan struct{}, 2)
	ready := make(chan struct{})
	passport := fake.Issuer()
	p := newPlatformFor(t, fake, tokensource.Config{
		Issuer: issuerFunc(func(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
			<-ready
			return passport.Issue(ctx, account)
		}),
		Hooks: tokensource.Hooks{
			Acquire: func(ctx context.Context, info tokensource.AcquireInfo) (context.Context, func(tokensource.AcquireResult)) {
				if info.Origin == tokensource.OriginIssued || info.Origin == tokensource.OriginJoined {
					waiting <- struct{}{}
				}
				return ctx, nil
			},
		},
	})
	logged := new(recorder)
	proxy := newTrackedHandler(p.proxy(t, func(c *middleware.ProxyConfig) { c.ErrorLog = log.New(logged, "", 0) }))
	s := serve(t, proxy)

	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := s.try(s.request(t, http.MethodGet, "/v1/accounts/"+alice, nil).WithContext(ctx))
		first <- err
	}()
	await(t, waiting)
	second := make(chan reply)
	go func() {
		r, err := s.try(s.request(t, http.MethodGet, "/v1/accounts/"+alice, nil))
		check(t, "error of the client that stays", err, nil)
		second <- r
	}()
	await(t, waiting)
	leave()
	check(t, "error of the client that leaves", errors.Is(await(t, first), context.Canceled), true)
	check(t, "how its handler ended", await(t, proxy.ended), any(http.ErrAbortHandler))
	close(ready)
	check(t, "status of the client that stays", await(t, second).status, http.StatusOK)
	check(t, "tokens issued", p.Counts().Issued, 1)
	check(t, "log", logged.String(), "")
}

func TestNewProxy_ClientDisconnectCancels(t *testing.T) {
	began, left := make(chan struct{}), make(chan struct{})
	for name, begin := range map[string]func(http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) {},
		"in the middle of the answer": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		},
		"in the middle of a known length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 50_000))
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/quick" {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body) // net/http watches the connection only after it has read the body.
				begin(w)
				began <- struct{}{}
				<-r.Context().Done()
				left <- struct{}{}
			})
			logged := new(recorder)
			proxy := newTrackedHandler(p.proxy(t, func(c *middleware.ProxyConfig) { c.ErrorLog = log.New(logged, "", 0) }))
			s := serve(t, proxy)
			ctx, leave := context.WithCancel(t.Context())
			answered := make(chan error)
			go func() {
				_, err := s.try(s.request(t, http.MethodPost, "/slow", strings.NewReader("payment")).WithContext(ctx))
				answered <- err
			}()
			await(t, began)
			leave()
			check(t, "an error", await(t, answered) != nil, true)
			await(t, left) // The platform sees that the client has left.
			await(t, proxy.ended)
			check(t, "status of another request", s.get(t, "/quick").status, http.StatusOK)
			check(t, "tokens issued", p.Counts().Issued, 1)
			check(t, "log", logged.String(), "")
		})
	}
}

// A response that breaks off must not look complete.
func TestNewProxy_TruncatedResponseStaysSo(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of a st")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	logged := new(recorder)
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) { c.ErrorLog = log.New(logged, "", 0) }))
	_, err := s.try(s.request(t, http.MethodGet, "/", nil))
	check(t, "error", errors.Is(err, io.ErrUnexpectedEOF), true)
	check(t, "log", logged.String() != "", true)

	// The log has no further lines.
	quiet := serve(t, p.proxy(t))
	_, err = quiet.try(quiet.request(t, http.MethodGet, "/", nil))
	check(t, "error", errors.Is(err, io.ErrUnexpectedEOF), true)
}
