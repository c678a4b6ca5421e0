// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A zeroBody is a body of many bytes that takes no memory.
type zeroBody struct{ left int64 }

// drops is the repeated content. Its length is not a multiple of a buffer's
// length.
var drops = bytes.Repeat([]byte("pismo"), 7919)

func (f *zeroBody) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	begin := f.left % int64(len(drops))
	n := copy(p[:min(int64(len(p)), f.left)], drops[begin:])
	f.left -= int64(n)
	return n, nil
}

// uploadRequest returns a request with a body of that size. If announced is
// true, the request has a Content-Length.
func uploadRequest(t *testing.T, s *service, size int64, announced bool) *http.Request {
	t.Helper()
	req := s.request(t, http.MethodPut, "/v1/uploads", &zeroBody{size})
	switch {
	case announced && size == 0:
		req.Body = http.NoBody
	case announced:
		req.ContentLength = size
	}
	return req
}

const (
	KiB = 1 << 10
	MiB = 1 << 20
)

func TestNewProxy_DeliversWholeBody(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t))
	for _, size := range []int64{0, 1, 64 * KiB, 64*KiB + 1, 10 * MiB} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d/announced=%v", size, announced), func(t *testing.T) {
				digest := sha256.New()
				if _, err := io.Copy(digest, &zeroBody{size}); err != nil {
					t.Fatal(err)
				}
				before := len(p.Deliveries())
				check(t, "status", s.send(t, uploadRequest(t, s, size, announced)).status, http.StatusOK)
				deliveries := p.Deliveries()[before:]
				if len(deliveries) != 1 {
					t.Fatalf("got %d deliveries, want 1", len(deliveries))
				}
				check(t, "length", deliveries[0].Length, size)
				check(t, "digest", deliveries[0].SHA256, hex.EncodeToString(digest.Sum(nil)))
				check(t, "account", deliveries[0].Account, alice)
			})
		}
	}
}

// The platform refuses the token before it has read the body.
func TestNewProxy_ReplaysAfterEarly401(t *testing.T) {
	for _, test := range []struct {
		size      int64
		announced bool
		replayed  bool
	}{
		{0, true, true},
		{1, true, true},
		{1, false, false},
		{64 * KiB, true, true},
		{64 * KiB, false, false},
		{64*KiB + 1, true, false},
		{10 * MiB, true, false},
		{10 * MiB, false, false},
	} {
		t.Run(fmt.Sprintf("%d/announced=%v", test.size, test.announced), func(t *testing.T) {
			p := newPlatform(t, passporttest.Config{})
			s := serve(t, p.proxy(t))
			check(t, "status before", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
			revoked := p.revoke(t)
			r := s.send(t, uploadRequest(t, s, test.size, test.announced))
			if test.replayed {
				check(t, "status", r.status, http.StatusOK)
				check(t, "deliveries", len(p.Deliveries()), 1)
			} else {
				wantProblem(t, r, http.StatusBadGateway, "token-refused")
				check(t, "deliveries", len(p.Deliveries()), 0)
			}
			p.awaitSuccessor(t, revoked)
			check(t, "tokens issued", p.Counts().Issued, 2)
			check(t, "status after", s.send(t, uploadRequest(t, s, 1, false)).status, http.StatusOK)
			check(t, "tokens issued after", p.Counts().Issued, 2)
		})
	}
}

// A client that waits for "100 Continue" does not have to send a body that will
// be refused.
func TestNewProxy_RefusalSparesUpload(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t))
	s.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	check(t, "status before", s.get(t, "/v1/accounts/"+alice).status, http.StatusOK)
	token := p.revoke(t)
	for _, revoked := range []bool{true, false} {
		if !revoked {
			p.awaitSuccessor(t, token)
		}
		var read atomic.Int64
		r := s.send(t, s.request(t, http.MethodPut, "/v1/uploads", countingReader{&zeroBody{10 * MiB}, &read}, "Expect", "100-continue"))
		if revoked {
			wantProblem(t, r, http.StatusBadGateway, "token-refused")
			check(t, "bytes sent", read.Load(), 0)
		} else {
			check(t, "status", r.status, http.StatusOK)
			check(t, "bytes sent", read.Load(), 10*MiB)
		}
	}
}

// A countingReader counts the bytes that are read.
type countingReader struct {
	io.Reader

	n *atomic.Int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestNewProxy_StreamsInBoundedMemory(t *testing.T) {
	const size = 64 * MiB
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); r.Method == http.MethodPut && (n != size || err != nil) {
			t.Errorf("%d bytes arrived, and error %v", n, err)
		}
		if r.Method == http.MethodGet {
			_, _ = io.CopyBuffer(struct{ io.Writer }{w}, &zeroBody{size}, make([]byte, 32*KiB))
		}
	})
	s := serve(t, p.proxy(t))
	check(t, "status before", s.post(t, "/", "").status, http.StatusOK)
	for name, request := range map[string]func() *http.Request{
		"up, announced": func() *http.Request { return uploadRequest(t, s, size, true) },
		"up":            func() *http.Request { return uploadRequest(t, s, size, false) },
		"down":          func() *http.Request { return s.request(t, http.MethodGet, "/", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, err := s.Client().Transport.RoundTrip(request())
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			check(t, "error", errors.Join(err, resp.Body.Close()), nil)
			check(t, "status", resp.StatusCode, http.StatusOK)
			runtime.ReadMemStats(&after)
			check(t, "the whole body arrived", name != "down" || n == size, true)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4*MiB {
				t.Errorf("%d KiB were allocated for a stream of %d MiB", allocated/KiB, size/MiB)
			}
		})
	}
}

func TestNewProxy_PassesEarlyResponse(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPaymentRequired) })
	s := serve(t, p.proxy(t))
	check(t, "status", s.send(t, uploadRequest(t, s, 10*MiB, false)).status, http.StatusPaymentRequired)
}

// A slow client must not hold up the platform's connection until the last byte.
// The body is recorded for a replay while it streams.
func TestNewProxy_AnswersBeforeUploadEnds(t *testing.T) {
	arrived := make(chan string, 2)
	p := platformServing(t, func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 4)
		_, err := io.ReadFull(r.Body, first)
		check(t, "error", err, nil)
		arrived <- string(first)
		rest, err := io.ReadAll(r.Body)
		check(t, "error", err, nil)
		arrived <- string(rest)
		w.WriteHeader(http.StatusCreated)
	})
	s := serve(t, p.proxy(t))
	for range 2 {
		conn, in := s.dial(t, "POST /v1/payments HTTP/1.1\r\nHost: proxy\r\nContent-Length: 7\r\n\r\npaym")
		check(t, "the beginning", await(t, arrived), "paym")
		_, _ = io.WriteString(conn, "ent")
		check(t, "the rest", await(t, arrived), "ent")
		check(t, "status", readReply(t, in).status, http.StatusCreated)
	}
	p.RevokeAll()
	conn, in := s.dial(t, "POST /v1/payments HTTP/1.1\r\nHost: proxy\r\nContent-Length: 7\r\n\r\npaym")
	_, _ = io.WriteString(conn, "ent") // The first token may be refused before or after this.
	check(t, "the beginning of the replay", await(t, arrived), "paym")
	check(t, "the rest of the replay", await(t, arrived), "ent")
	check(t, "status", readReply(t, in).status, http.StatusCreated)
	check(t, "tokens issued", p.Counts().Issued, 2)
}
