package caddyplugin

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"github.com/pismoauth/pismoauth/middleware"
)

// unfit returns why no token may be asked for a request's sake, or nil: the
// answer to TRACE repeats the request, our token included (RFC 9110, section
// 9.3.8).
func unfit(r *http.Request) error {
	switch {
	case early(r):
		return middleware.ErrTooEarly
	case r.Method == http.MethodTrace:
		return middleware.ErrMethodNotProxied
	}
	return nil
}

// early reports whether a request came in TLS early data, which anybody on the
// way can replay, and would do something if it were. An Early-Data that is
// malformed, or there twice, counts as 1 (RFC 8470, section 5.1).
func early(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return len(r.Header["Early-Data"]) > 0 || r.TLS != nil && !r.TLS.HandshakeComplete
}

// synthesize returns a problem as the response to req: reverse_proxy takes an
// error of its transport for a failure of the upstream.
func synthesize(problem middleware.Problem, req *http.Request) *http.Response {
	answer := &answer{header: http.Header{}}
	problem.Answer(answer, req)
	return response(answer.status, answer.header, answer.body.Bytes(), req)
}

// response returns a response that nobody has sent.
func response(status int, header http.Header, body []byte, req *http.Request) *http.Response {
	return &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}

// An answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
