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
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/transport"
)

// opError is an error of net, as net/http wraps it.
func opError(op string) error {
	return fmt.Errorf("of the base: %w", &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNREFUSED})
}

// payment returns a request that can be sent any number of times, if it may.
func payment(tb testing.TB, method string) *http.Request {
	tb.Helper()
	req := newRequest(tb, http.MethodPost, target, strings.NewReader("payment"))
	req.Method = method
	return req
}

// A retry that is not allowed could execute a payment twice.
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
								t.Errorf("sending %d had the body %q and the resend count %d", s.number, s.body, s.resend)
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
							t.Errorf("%d: got %+v with error %v", status, r, err)
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
						{err: context.DeadlineExceeded},                          // of the base's own
						{err: errors.Join(io.ErrUnexpectedEOF, opError("dial"))}, // of a base that tried elsewhere
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
							t.Errorf("%v: got error %v", test.err, err)
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

func TestPayment_DeliveredOnceOnServerFailure(t *testing.T) {
	hijack := func(w http.ResponseWriter) *net.TCPConn {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		return conn.(*net.TCPConn)
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"500":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"503":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"429":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
		"hang-up": func(w http.ResponseWriter) { _ = hijack(w).Close() },
		"reset": func(w http.ResponseWriter) {
			conn := hijack(w)
			_ = conn.SetLinger(0)
			_ = conn.Close()
		},
		"half an answer": func(w http.ResponseWriter) {
			conn := hijack(w)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 O")
			_ = conn.Close()
		},
		"nonsense": func(w http.ResponseWriter) {
			conn := hijack(w)
			_, _ = io.WriteString(conn, "SSH-2.0-x\r\n\r\n")
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &fakeIssuer{}
			var deliveries atomic.Int32
			server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					return
				}
				deliveries.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w)
			}))
			rt := newTransport(t, m, transport.NewBase(), listing(server))
			for i, body := range []io.Reader{
				strings.NewReader("payment"),
				withoutGetBody(strings.NewReader("payment")),
				nil,
			} {
				get(t, rt, server.URL) // net/http has a connection at hand now.
				req := newRequest(t, http.MethodPost, server.URL, body)
				if i == 1 {
					req.ContentLength = int64(len("payment"))
					req.Header.Set("Idempotency-Key", "k") // For which net/http would send it again.
				}
				_, _ = trySend(rt, req)
				if n := deliveries.Swap(0); n != 1 {
					t.Errorf("payment %d was delivered %d times, want once", i, n)
				}
			}
		})
	}
}

func TestPayment_IsSentAgainAfterDialError(t *testing.T) {
	m := &fakeIssuer{}
	server := newServer(t, m.guard(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	failures := 2
	base := transport.NewBase()
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if failures--; failures >= 0 {
			address = "127.0.0.1:0" // Nobody can listen there.
		}
		return dial(ctx, network, address)
	}
	r := post(t, newTransport(t, m, base, listing(server)), server.URL, "payment")
	if r.status != http.StatusOK || r.body != "payment" {
		t.Errorf("got %+v, want 200", r)
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

// A body that is fetched from elsewhere while it is sent fails as if the request
// had not been sent.
func TestPayment_NotSentAgainAfterBodyError(t *testing.T) {
	m := &fakeIssuer{}
	var delivered atomic.Int32
	server := newServer(t, m.guard(func(_ http.ResponseWriter, r *http.Request) {
		delivered.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	elsewhere := func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("payment"), iotest.ErrReader(opError("dial")))), nil
	}
	body, _ := elsewhere()
	req := newRequest(t, http.MethodPost, server.URL, body)
	req.GetBody = elsewhere
	if _, err := trySend(newTransport(t, m, transport.NewBase(), listing(server)), req); err == nil {
		t.Error("half a payment was sent, and nobody told")
	}
	if n := delivered.Load(); n > 1 {
		t.Errorf("the payment was delivered %d times", n)
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

// As those of a server are that a reverse proxy passes on; http.Client, which
// drives the retries, refuses them.
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
				t.Errorf("sending %d has the resend count %d", i, s.resend)
			}
		}
	})
}

// retryablehttp followed the redirects of the upstream itself, and failed on
// those it could not follow.
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

// A host that fails must not cost other hosts their connections.
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
