// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestS2S_ReadsAnswersUpTo64KiB(t *testing.T) {
	const limit = 64 << 10
	for name, test := range map[string]struct {
		length  int
		chunked bool
		kind    tokensource.ErrorKind
	}{
		"at the limit":                   {limit, false, ""},
		"at the limit, chunked":          {limit, true, ""},
		"one byte more":                  {limit + 1, false, tokensource.ErrMalformedResponse},
		"one byte more, chunked":         {limit + 1, true, tokensource.ErrMalformedResponse},
		"one byte more, spaces":          {-(limit + 1), false, tokensource.ErrMalformedResponse},
		"one byte more, spaces, chunked": {-(limit + 1), true, tokensource.ErrMalformedResponse},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"token":"t"}` + strings.Repeat(" ", max(-test.length-13, 0))
			if test.length > 0 {
				body = `{"token":"t","x":"` + strings.Repeat("x", test.length-20) + `"}`
			}
			s := issuer(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.chunked {
					w.(http.Flusher).Flush()
				} else {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				_, _ = io.WriteString(w, body)
			}))
			_, err := s.Issue(t.Context(), tokensource.Organization())
			if test.kind != "" {
				wantKind(t, err, test.kind)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// An endless is a body without an end. It counts the bytes that are read.
type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Close() error { e.closed = true; return nil }

func TestS2S_EndlessAnswerIsCutOff(t *testing.T) {
	for name, length := range map[string]int64{"with a length": 1 << 40, "without a length": -1} {
		t.Run(name, func(t *testing.T) {
			body := &endless{}
			s := issuer("https://sandbox.pismolabs.io")
			s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, ContentLength: length, Body: body}, nil
			})}
			_, err := s.Issue(t.Context(), tokensource.Organization())
			wantKind(t, err, tokensource.ErrMalformedResponse)
			if most := 64<<10 + 1; body.read > most {
				t.Errorf("read %d bytes, want %d at most", body.read, most)
			}
		})
	}
}

func TestS2S_ClosesBodyForEveryStatus(t *testing.T) {
	for status := range 600 {
		body := &endless{}
		s := issuer("https://sandbox.pismolabs.io")
		s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, ContentLength: -1, Body: body}, nil
		})}
		_, err := s.Issue(t.Context(), tokensource.Organization())
		if err == nil || !body.closed {
			t.Errorf("status %d: closed = %t, error = %v", status, body.closed, err)
		}
	}
}

// rawServer returns the base URL of a server that answers each connection with
// text, and then closes it.
func rawServer(t *testing.T, text string) string {
	t.Helper()
	listener := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 64<<10))
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func TestS2S_TruncatedAnswerIsUnavailable(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"half a head":    "HTTP/1.1 201 Crea",
		"half a body":    "HTTP/1.1 201 Created\r\nx-cid: c\r\nContent-Length: 100\r\n\r\n{\"token\":\"t\"}",
		"half a chunk":   "HTTP/1.1 201 Created\r\nx-cid: c\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"token\":\"t\"}\r\n",
		"no HTTP at all": "220 mail.example ESMTP\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := issuer(rawServer(t, text)).Issue(t.Context(), tokensource.Organization())
			failure := failedWith(t, err, tokensource.ErrUnavailable)
			if cause(failure) == nil {
				t.Error("the cause was lost")
			}
			if strings.Contains(text, "x-cid") && (failure.CorrelationID != "c" || failure.StatusCode != http.StatusCreated) {
				t.Errorf("CorrelationID = %q, StatusCode = %d", failure.CorrelationID, failure.StatusCode)
			}
		})
	}
}
