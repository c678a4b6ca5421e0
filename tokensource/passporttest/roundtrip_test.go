// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestRoundTripper_LatencyInSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{TokenLatency: 3 * time.Second})
		s.Fail(passporttest.SlowHeaders(time.Minute))
		start := time.Now()
		newToken(t, s, "1")
		check(t, "time with a slow header", time.Since(start), 63*time.Second)
		start = time.Now()
		value := newToken(t, s, "1")
		check(t, "time of a token request", time.Since(start), 3*time.Second)
		start = time.Now()
		get(t, s, value, "/v1/accounts/1")
		check(t, "time of a resource request", time.Since(start), 0)
	})
}

func TestRoundTripper_DeadlineInSynctest(t *testing.T) {
	for _, config := range []passporttest.Config{{TokenLatency: time.Hour}, {}} {
		synctest.Test(t, func(t *testing.T) {
			s := passporttest.NewInProcess(t, passporttest.Config{TokenLatency: config.TokenLatency})
			s.FailAlways(passporttest.Hang())
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := send(t, s.Client(), newTokenRequest(t, s, "1").WithContext(ctx))
			check(t, "deadline exceeded", errors.Is(err, context.DeadlineExceeded), true)
			check(t, "time", time.Since(start), time.Second)
		})
	}
}

func TestRoundTripper_DoneContextIsNotSent(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	body := &closeCounter{Reader: strings.NewReader("{}")}
	r := request(t, s, http.MethodPost, "/v1/payments", "").WithContext(ctx)
	r.Body = body
	_, err := s.RoundTripper().RoundTrip(r)
	check(t, "error", err, cause)
	check(t, "calls of Close", body.times, 1)
	check(t, "resource requests", s.Counts().ResourceRequests, 0)
}

// A closeCounter is a body that counts the calls of Close.
type closeCounter struct {
	io.Reader
	times int
}

func (c *closeCounter) Close() error { c.times++; return nil }

func TestRoundTripper_KeepsTheContract(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	body := &closeCounter{Reader: strings.NewReader("{}")}
	r := request(t, s, http.MethodPost, "/v1/payments?x=1", "")
	r.Body, r.ContentLength = body, -1
	url := r.URL.String()
	response, err := s.RoundTripper().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	check(t, "calls of Close", body.times, 1)
	check(t, "header fields", len(r.Header), 0)
	check(t, "URL", r.URL.String(), url)
	check(t, "request of the response", response.Request, r)
}

func TestRoundTripper_LooksLikeAServer(t *testing.T) {
	var seen *http.Request
	s := passporttest.NewInProcess(t, passporttest.Config{Resource: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = r
	})})
	r := request(t, s, "", "/a%2Fb?x=1", "")
	r.Header.Set("Authorization", "Bearer "+newToken(t, s, "1"))
	if _, err := send(t, s.Client(), r); err != nil {
		t.Fatal(err)
	}
	check(t, "method", seen.Method, http.MethodGet)
	check(t, "request URI", seen.RequestURI, "/a%2Fb?x=1")
	check(t, "URL", seen.URL.String(), "/a%2Fb?x=1")
	check(t, "host", seen.Host, s.Host())
	check(t, "body", seen.Body != nil, true)
	check(t, "protocol", seen.Proto, "HTTP/1.1")
}

func TestRoundTripper_PanicIsAnError(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{Resource: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("out of cheese")
	})})
	r := request(t, s, http.MethodGet, "/", "")
	r.Header.Set("Authorization", "Bearer "+newToken(t, s, "1"))
	if _, err := send(t, s.Client(), r); err == nil || !strings.Contains(err.Error(), "out of cheese") {
		t.Errorf("got error %v, want that of the base", err)
	}
}

func TestRoundTripper_HEADHasNoBody(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	a := do(t, s, newToken(t, s, "1"), http.MethodHead, "/v1/accounts/1", "")
	check(t, "status", a.status, http.StatusOK)
	check(t, "body", len(a.body), 0)
}

func TestNewInProcess_HostResolvesNowhere(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	check(t, "URL", s.URL(), "https://passporttest.invalid")
	check(t, "host", s.Host(), "passporttest.invalid")
	check(t, "certificate", s.Certificate() == nil, true)
}
