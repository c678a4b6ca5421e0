// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"github.com/pismoauth/pismoauth/middleware"
)

// synthesize returns a problem as the response to req. An error instead would
// count as a failure of the upstream: reverse_proxy counts every error of its
// transport.
func synthesize(problem middleware.Problem, req *http.Request) *http.Response {
	recorder := &responseRecorder{header: http.Header{}}
	problem.Answer(recorder, req)
	recorder.header.Del("Content-Length") // See unsizedWriter.
	return response(recorder.status, recorder.header, recorder.body.Bytes(), req)
}

// answer answers a request with a problem.
func answer(w http.ResponseWriter, r *http.Request, problem middleware.Problem) {
	problem.Answer(unsizedWriter{w}, r)
}

// An unsizedWriter leaves the length of a response to the server. The directive
// intercept may replace the body, but keeps the header.
type unsizedWriter struct{ http.ResponseWriter }

// WriteHeader writes the header without Content-Length.
func (w unsizedWriter) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

// response returns a response that the plugin makes.
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

// A responseRecorder is an http.ResponseWriter that records the response.
type responseRecorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *responseRecorder) Header() http.Header { return a.header }

func (a *responseRecorder) WriteHeader(status int) { a.status = status }

func (a *responseRecorder) Write(p []byte) (int, error) { return a.body.Write(p) }

// statusClientGone is the status that Caddy logs if a client leaves before the
// answer. The client does not see it.
const statusClientGone = 499
