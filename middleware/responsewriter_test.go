// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
)

// withRecovery wraps a handler as a framework does, for example gin with
// gin.Default. It recovers a panic, and sends the status that was set, or 200.
func withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late := &lateWriter{ResponseWriter: w, status: http.StatusOK}
		defer late.flushStatus()
		defer func() { _ = recover() }()
		next.ServeHTTP(late, r)
	})
}

// A lateWriter writes the status with the first byte or at the end.
type lateWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (w *lateWriter) WriteHeader(status int) { w.status = status }

func (w *lateWriter) Write(b []byte) (int, error) {
	w.flushStatus()
	return w.ResponseWriter.Write(b)
}

func (w *lateWriter) Flush() {
	w.flushStatus()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *lateWriter) flushStatus() {
	if !w.written {
		w.written = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

// Hijack fails after a byte was written.
func (w *lateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.written = true
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

func (w *lateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A loggingWriter keeps a copy of the response, as many programs do. It has no
// Unwrap.
type loggingWriter struct {
	http.ResponseWriter
	copied bytes.Buffer
}

func (w *loggingWriter) Write(b []byte) (int, error) {
	w.copied.Write(b)
	return w.ResponseWriter.Write(b)
}

func (w *loggingWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// A committing writer keeps the first status, like the writer of echo.
type committing struct {
	http.ResponseWriter
	committed bool
}

func (w *committing) WriteHeader(status int) {
	if !w.committed {
		w.committed = true
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *committing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type panicking struct {
	http.ResponseWriter
	cause any
}

func (p panicking) Flush() { panic(p.cause) }
