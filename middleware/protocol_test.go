// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestNewProxy_PassesResponseTrailers(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Announced", "one")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "two")
	})
	r := serve(t, p.proxy(t)).get(t, "/", "Te", "trailers")
	check(t, "body", r.body, "body")
	check(t, "an announced trailer", r.trailer.Get("X-Announced"), "one")
	check(t, "another", r.trailer.Get("X-Surprise"), "two")
}

// The proxy does not forward an Authorization field from a client's trailer.
func TestNewProxy_DropsTrailerAuthorization(t *testing.T) {
	p := platformServing(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(t, "body", string(body), "payment")
		check(t, "error", err, nil)
		check(t, "trailer", strings.Contains(fmt.Sprint(r.Trailer), "theirs"), false)
		check(t, "Authorization", len(r.Header["Authorization"]), 1)
	})
	s := serve(t, p.proxy(t))
	_, in := s.dial(t, "POST / HTTP/1.1\r\nHost: proxy\r\nTrailer: Authorization\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"+
		"7\r\npayment\r\n0\r\nAuthorization: Bearer theirs\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", resp.StatusCode, http.StatusOK)
}

func TestNewProxy_SpeaksHTTP2Upstream(t *testing.T) {
	p := newPlatform(t, passporttest.Config{TLS: true, HTTP2: true, Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(t, "protocol", r.ProtoMajor, 2)
		if r.URL.Path == "/down" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Trailer", "X-Trailer")
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
		_ = http.NewResponseController(w).Flush() // Without a length, the answer can have a trailer.
		w.Header().Set("X-Trailer", "passes")
	})})
	s := serve(t, p.proxy(t))
	for range 2 { // The second is refused and replayed.
		r := s.post(t, "/", "payment")
		check(t, "status", r.status, http.StatusOK)
		check(t, "body", r.body, "7")
		check(t, "trailer", r.trailer.Get("X-Trailer"), "passes")
		p.RevokeAll()
	}
	revoked := p.revoke(t)
	wantProblem(t, s.send(t, uploadRequest(t, s, MiB, false)), http.StatusBadGateway, "token-refused")
	p.awaitSuccessor(t, revoked)
	check(t, "body", s.send(t, uploadRequest(t, s, MiB, false)).body, strconv.Itoa(MiB))
	wantProblem(t, s.post(t, "/down", "payment"), http.StatusBadGateway, "upstream-unreachable")
	_, in := s.dial(t, "POST / HTTP/1.1\r\nHost: proxy\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", resp.StatusCode, http.StatusBadRequest)
}

func TestNewProxy_PassesEarlyHints(t *testing.T) {
	p := platformServing(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(http.StatusNoContent)
	})
	s := serve(t, p.proxy(t))
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(status, h["Link"]))
		return nil
	}}
	req := s.request(t, http.MethodGet, "/", nil)
	r := s.send(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	check(t, "status", r.status, http.StatusNoContent)
	check(t, "hints", strings.Join(hints, ", "), "103 [</style.css>; rel=preload]")
	check(t, "Link of the response", r.header.Get("Link"), "")
}

// A trace of the inbound request must not include the issuance of its token.
func TestIssuance_SendsClientNoEarlyHints(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<token>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		p.Handler().ServeHTTP(w, r)
	}))
	defer issuer.Close()
	hinting := p.Issuer()
	hinting.BaseURL, hinting.Client = issuer.URL, issuer.Client()
	q := newPlatformFor(t, p.Server, tokensource.Config{Issuer: hinting})
	s := serve(t, q.proxy(t))
	trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		t.Error("the client got a hint")
		return nil
	}}
	for range 2 { // The second is refused, and its token is renewed.
		req := s.request(t, http.MethodGet, "/v1/accounts/"+alice, nil)
		check(t, "status", s.send(t, req.WithContext(httptrace.WithClientTrace(req.Context(), trace))).status, http.StatusOK)
		p.RevokeAll()
	}
}
