// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// opError is an error of package net, wrapped as net/http does.
func opError(op string) error {
	return fmt.Errorf("base: %w", &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNREFUSED})
}

// A retry that is not allowed can execute a payment twice.
func TestRetry_DependsOnMethodAndFailure(t *testing.T) {
	const attempts = 3
	safe := map[string]bool{"": true, http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true}
	for _, method := range []string{
		"", http.MethodGet, http.MethodHead, http.MethodOptions,
		http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, http.MethodConnect, "get", "PURGE",
	} {
		for _, opted := range []string{"", "request", "method", "another method"} {
			t.Run(strings.TrimSpace(method+" "+opted), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					deliver := func(answer func(sentRequest) (*http.Response, error)) (*fakeBase, reply, error) {
						w := &fakeBase{answer: answer}
						rt := newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) {
							switch opted {
							case "method":
								c.RetryMethods = []string{cmp.Or(method, http.MethodGet)}
							case "another method":
								c.RetryMethods = []string{"REPORT"}
							}
						})
						req := payment(t, method)
						if opted == "request" {
							req = req.WithContext(transport.AllowRetry(req.Context()))
						}
						r, err := trySend(rt, req)
						for _, s := range w.requests() {
							if s.body != "payment" || s.resend != s.number-1 {
								t.Errorf("attempt %d had the body %q and the resend count %d", s.number, s.body, s.resend)
							}
						}
						return w, r, err
					}
					repeatable := safe[method] || opted == "request" || opted == "method"
					for status := 200; status < 600; status++ {
						if status == http.StatusUnauthorized {
							continue
						}
						times := 1
						switch status {
						case 429, 502, 503, 504:
							if repeatable {
								times = attempts
							}
						}
						w, r, err := deliver(always(status, "answer"))
						if err != nil || r.status != status || r.body != "answer" {
							t.Errorf("%d: got %+v with error %v, want the answer", status, r, err)
						}
						if got := len(w.requests()); got != times {
							t.Errorf("%d: it was delivered %d times, want %d", status, got, times)
						}
					}
					for _, test := range []struct {
						err    error
						unsent bool
						final  bool
					}{
						{err: opError("dial"), unsent: true},
						{err: opError("proxyconnect"), unsent: true},
						{err: opError("read")},
						{err: opError("write")},
						{err: opError("remote error")},
						{err: io.EOF},
						{err: io.ErrUnexpectedEOF},
						{err: context.DeadlineExceeded},                          // the base's own deadline
						{err: errors.Join(io.ErrUnexpectedEOF, opError("dial"))}, // from a base that tried another server
						{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, final: true},
						{err: tokensource.NewError(tokensource.ErrUnavailable, opError("dial")), final: true},
						{err: transport.ErrHostNotListed, final: true},
					} {
						times := 1
						if test.unsent || repeatable && !test.final {
							times = attempts
						}
						w, _, err := deliver(func(sentRequest) (*http.Response, error) { return nil, test.err })
						if err != test.err {
							t.Errorf("got error %v, want %v", err, test.err)
						}
						if got := len(w.requests()); got != times {
							t.Errorf("%v: it was delivered %d times, want %d", test.err, got, times)
						}
					}
				})
			})
		}
	}
}

func TestRetry_ResendsBodyAfterDialError(t *testing.T) {
	for name, body := range map[string]func() io.Reader{
		"bytes.Buffer":    func() io.Reader { return bytes.NewBufferString("payment") },
		"bytes.Reader":    func() io.Reader { return bytes.NewReader([]byte("payment")) },
		"strings.Reader":  func() io.Reader { return strings.NewReader("payment") },
		"read beforehand": func() io.Reader { return withoutGetBody(strings.NewReader("payment")) },
		"none":            func() io.Reader { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
					if s.number < 3 {
						return nil, opError("dial")
					}
					return respond(http.StatusOK, s.body), nil
				}}
				req := newRequest(t, http.MethodPost, target, body())
				if name == "read beforehand" {
					req.ContentLength = int64(len("payment"))
				}
				r := send(t, newTransport(t, &fakeIssuer{}, w), req)
				if want := "payment"; r.status != http.StatusOK || r.body != want && name != "none" {
					t.Errorf("got %+v, want %q", r, want)
				}
			})
		})
	}
}

func TestRetry_NotForStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []func(sentRequest) (*http.Response, error){
			always(http.StatusServiceUnavailable, ""),
			func(sentRequest) (*http.Response, error) { return nil, opError("dial") },
		} {
			w := &fakeBase{answer: answer}
			req := newRequest(t, http.MethodPut, target, withoutGetBody(strings.NewReader("payment")))
			_, _ = trySend(newTransport(t, &fakeIssuer{}, w), req.WithContext(transport.AllowRetry(req.Context())))
			wantSent(t, w, 1)
		}
	})
}

// A reverse proxy passes on requests in the form that a server receives.
// http.Client, which runs the retries, refuses that form.
func TestRetry_WorksForServerRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			if s.number == 1 {
				return respond(http.StatusServiceUnavailable, ""), nil
			}
			return respond(http.StatusOK, ""), nil
		}}
		req := newRequest(t, http.MethodGet, target, nil)
		req.RequestURI = "/v1/payments"
		wantStatus(t, send(t, newTransport(t, &fakeIssuer{}, w), req), http.StatusOK)
		wantSent(t, w, 2)
	})
}

func TestRetry_GetBodyErrorReturnsResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeBase{answer: always(http.StatusServiceUnavailable, "busy")}
		req := newRequest(t, http.MethodGet, target, strings.NewReader("query"))
		req.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") }
		if r := send(t, newTransport(t, &fakeIssuer{}, w), req); r.status != http.StatusServiceUnavailable || r.body != "busy" {
			t.Errorf("got %+v, want the 503", r)
		}
		wantSent(t, w, 1)
	})
}

func TestMaxAttempts_CountsFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for attempts := 1; attempts < 6; attempts++ {
			w := &fakeBase{answer: always(http.StatusServiceUnavailable, "")}
			get(t, newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) { c.MaxAttempts = attempts }), target)
			wantSent(t, w, attempts)
		}
	})
}

func TestReplay_IsNotCountedAsAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &fakeIssuer{}
		w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
			switch s.number {
			case 2:
				return respond(http.StatusUnauthorized, ""), nil
			case 4:
				return respond(http.StatusOK, ""), nil
			default:
				return respond(http.StatusServiceUnavailable, ""), nil
			}
		}}
		wantStatus(t, get(t, newTransport(t, m, w), target), http.StatusOK)
		wantSent(t, w, 4)
		wantIssued(t, m, 2)
		for i, s := range w.requests() {
			if s.resend != i {
				t.Errorf("attempt %d has the resend count %d", i, s.resend)
			}
		}
	})
}

// retryablehttp followed the redirects of the upstream itself. It failed if it
// could not follow a redirect.
func TestRetry_DoesNotFollowRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, location := range []string{target + "/other", "https://evil.example/", "http://[::1", "%zz", ""} {
			for _, status := range []int{301, 302, 303, 304, 307, 308} {
				w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
					if s.number == 1 {
						return respond(http.StatusServiceUnavailable, ""), nil
					}
					return respond(status, "moved", "Location", location), nil
				}}
				r := send(t, newTransport(t, &fakeIssuer{}, w), newRequest(t, http.MethodGet, target, nil))
				if r.status != status || r.body != "moved" || r.header.Get("Location") != location {
					t.Errorf("got %+v, want the redirect to %q", r, location)
				}
				wantSent(t, w, 2)
			}
		}
	})
}

// A failing host must not close the connections of other hosts.
func TestRetry_KeepsIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answer := range []func(sentRequest) (*http.Response, error){
			always(http.StatusServiceUnavailable, ""),
			func(sentRequest) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		} {
			closed := 0
			rt := newTransport(t, &fakeIssuer{}, closingBase{&fakeBase{answer: answer}, &closed})
			_, _ = trySend(rt, newRequest(t, http.MethodGet, target, nil))
			if closed != 0 {
				t.Errorf("idle connections were closed %d times", closed)
			}
		}
	})
}
