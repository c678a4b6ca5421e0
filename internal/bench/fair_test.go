// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A comparison is fair only if all sides send the same.
func TestPeers_SendTheSame(t *testing.T) {
	for _, side := range append(slices.Clip(sides), least) {
		t.Run(side.name, func(t *testing.T) {
			base := &inProcessBase{}
			rt, req := side.over(t, base), newGet(t, "https://"+apiHost+"/v1/accounts/1")
			want := req.Header.Clone()
			roundTrip(t, rt, req)
			got := base.last.Header.Clone()
			token, ok := strings.CutPrefix(got.Get("Authorization"), "Bearer ")
			if !ok || len(token) != tokenSize {
				t.Errorf("sent a token of %d bytes as a bearer: %v, want %d", len(token), ok, tokenSize)
			}
			got.Del("Authorization")
			if !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("sent the fields %v, want %v", got, want)
			}
			if base.last.Method != http.MethodGet || base.last.URL.String() != req.URL.String() {
				t.Errorf("sent %s %s", base.last.Method, base.last.URL)
			}
		})
	}
}

func TestProxies_SendTheSame(t *testing.T) {
	var sent []http.Header
	for _, side := range proxies {
		base := &inProcessBase{}
		side.over(t, base).ServeHTTP(newDiscard(), newInbound(t))
		header := base.last.Header.Clone()
		if got := len(header.Get("Authorization")); got != len("Bearer ")+tokenSize {
			t.Errorf("%s: Authorization has %d bytes", side.name, got)
		}
		header.Del("Authorization")
		sent = append(sent, header)
		if got := base.last.URL.String(); got != "https://"+apiHost+"/v1/accounts/1" {
			t.Errorf("%s: sent to %s", side.name, got)
		}
	}
	if !maps.EqualFunc(sent[0], sent[1], slices.Equal) {
		t.Errorf("sent %v and %v", sent[0], sent[1])
	}
}

// A comparison is fair only if all sides issue one token per account.
func TestPeers_KeepOneTokenPerAccount(t *testing.T) {
	const n = 100
	ours, theirs := &issuer{lifetime: lifetime}, &sourceMap{sources: map[int64]oauth2.TokenSource{}}
	src := newSource(t, tokensource.Config{Issuer: ours})
	for range 2 {
		for i, a := range fillSource(t, src, n) {
			tok, err := src.Token(t.Context(), a)
			if err != nil || tok.Account() != a {
				t.Errorf("account %d: got a token of %v and error %v", i, tok.Account(), err)
			}
			if tok, err := theirs.Token(accountID(i)); err != nil || len(tok.AccessToken) != len(tokenValue(0)) {
				t.Errorf("account %d of the map: %v", i, err)
			}
		}
	}
	if issued := ours.issued.Load(); issued != n {
		t.Errorf("%d tokens issued, want %d", issued, n)
	}
	if len(theirs.sources) != n {
		t.Errorf("%d sources in the map, want %d", len(theirs.sources), n)
	}
}
