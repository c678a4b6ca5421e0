// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A service is an HTTP server on loopback. The test fails if the server logs an
// error.
type service struct {
	*httptest.Server

	log *recorder
}

// serve starts a service.
func serve(tb testing.TB, handler http.Handler, edits ...func(*http.Server)) *service {
	tb.Helper()
	s := &service{Server: httptest.NewUnstartedServer(handler), log: new(recorder)}
	s.Config.ErrorLog = log.New(s.log, "", 0)
	for _, edit := range edits {
		edit(s.Config)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Close()
		if logged := s.log.String(); logged != "" {
			tb.Errorf("the server logged: %s", logged)
		}
	})
	return s
}

// A reply is a response with its body.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
}

// send sends a request, and reads the response. It fails the test on an error.
func (s *service) send(tb testing.TB, req *http.Request) reply {
	tb.Helper()
	r, err := s.try(req)
	if err != nil {
		tb.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return r
}

// try is like send, but returns the error. It can run on any goroutine. It
// follows no redirects.
func (s *service) try(req *http.Request) (reply, error) {
	resp, err := s.Client().Transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(resp.Body)
	r := reply{resp.StatusCode, resp.Header, resp.Trailer, string(body)}
	return r, errors.Join(err, resp.Body.Close())
}

// readReply reads a response from a connection to its end.
func readReply(tb testing.TB, in *bufio.Reader) reply {
	tb.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		tb.Fatal("ReadResponse:", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(tb, "error of the body", err, nil)
	return reply{resp.StatusCode, resp.Header, resp.Trailer, string(body)}
}

// testTimeout is the time limit for an expected event.
const testTimeout = time.Minute

// request returns a request to the service. Header fields come in pairs of
// name and value.
func (s *service) request(tb testing.TB, method, path string, body io.Reader, header ...string) *http.Request {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), testTimeout)
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		tb.Fatal("NewRequest:", err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req
}

func (s *service) get(tb testing.TB, path string, header ...string) reply {
	tb.Helper()
	return s.send(tb, s.request(tb, http.MethodGet, path, nil, header...))
}

func (s *service) post(tb testing.TB, path, body string, header ...string) reply {
	tb.Helper()
	return s.send(tb, s.request(tb, http.MethodPost, path, strings.NewReader(body), header...))
}

// call calls a handler without a network.
func call(handler http.Handler, r *http.Request) reply {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return reply{status: w.Code, header: w.Result().Header, body: w.Body.String()}
}

// inbound returns a request as a handler gets it. Header fields are pairs of
// name and value.
func inbound(tb testing.TB, header ...string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// dial opens a connection to a service and sends the text.
func (s *service) dial(t *testing.T, send string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(testTimeout))
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}
