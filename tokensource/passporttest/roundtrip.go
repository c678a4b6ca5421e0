// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"syscall"
)

// RoundTripper returns a transport that sends every request to the fake server,
// whatever its URL, without a network. It is for tests in testing/synctest
// bubbles: it waits on channels and timers only, and observes the request's
// context.
//
// An answer arrives when it is complete, and not in parts. [Reset] gives the
// error of a reset connection. [Truncated] gives an answer whose body ends with
// io.ErrUnexpectedEOF.
func (s *Server) RoundTripper() http.RoundTripper { return inProcess{s} }

type inProcess struct{ server *Server }

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	defer cancel()
	body := request.Body
	if body == nil {
		body = http.NoBody
	}
	defer body.Close()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	incoming := asReceived(ctx, request, body)
	answers := make(chan answer, 1)
	go func() { answers <- t.serve(incoming) }()
	select {
	case a := <-answers:
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		return a.response(request)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// asReceived returns the request as a server receives it.
func asReceived(ctx context.Context, request *http.Request, body io.ReadCloser) *http.Request {
	r := request.Clone(ctx)
	r.Body = body
	if r.ContentLength == 0 && body != http.NoBody {
		r.ContentLength = -1
	}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Host == "" {
		r.Host = request.URL.Host
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.URL = &url.URL{Path: request.URL.Path, RawPath: request.URL.RawPath, RawQuery: request.URL.RawQuery}
	r.RequestURI = request.URL.RequestURI()
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.RemoteAddr = "127.0.0.1:0"
	r.GetBody, r.Response, r.Cancel = nil, nil, nil //nolint:staticcheck // Cancel is deprecated. The server must not have the client's.
	return r
}

// An answer is what the handler wrote, and the value that it panicked with.
type answer struct {
	recorder *httptest.ResponseRecorder
	panicked any
}

func (t inProcess) serve(r *http.Request) (a answer) {
	a.recorder = httptest.NewRecorder()
	defer func() { a.panicked = recover() }()
	t.server.serve(a.recorder, r)
	return a
}

// errReset is the error of net/http for a reset connection.
var errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

// response returns the answer as a client receives it.
func (a answer) response(request *http.Request) (*http.Response, error) {
	err, _ := a.panicked.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	switch {
	case a.panicked != nil && !aborted:
		return nil, fmt.Errorf("passporttest: handler panicked: %v", a.panicked)
	case aborted && !a.recorder.Flushed:
		return nil, errReset
	}
	response := a.recorder.Result()
	response.Request = request
	body := a.recorder.Body.Bytes()
	if request.Method == http.MethodHead {
		body = nil
	}
	content := io.Reader(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	if aborted {
		content = io.MultiReader(content, truncatedBody{})
		response.ContentLength = -1
	}
	if n, err := strconv.ParseInt(response.Header.Get("Content-Length"), 10, 64); err == nil {
		response.ContentLength = n
	}
	response.Body = io.NopCloser(content)
	return response, nil
}

// A truncatedBody is the end of an answer that is not complete.
type truncatedBody struct{}

func (truncatedBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
