// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

func TestOAuth2_ReturnsTheSourcesToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		ts := src.OAuth2(acct(t, 1))
		got, err := ts.Token()
		if err != nil {
			t.Fatal(err)
		}
		tok := token(t, src, acct(t, 1))
		if got.AccessToken != tok.Reveal() || got.TokenType != "Bearer" {
			t.Errorf("got the token %q of type %q", got.AccessToken, got.TokenType)
		}
		// A cache of the token drops it when the Source does.
		if want := tok.Expiry().Add(-15 * time.Second); !got.Expiry.Equal(want) {
			t.Errorf("it expires at %v, want %v", got.Expiry, want)
		}
		wantAsked(t, d, 1)

		second := renew(t, src, tok)
		if got, err := ts.Token(); err != nil || got.AccessToken != second.Reveal() {
			t.Errorf("after a renewal, got %v", err)
		}
	})
}

func TestOAuth2_WaitIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{latency: time.Hour})
		start := time.Now()
		tok, err := src.OAuth2(acct(t, 1)).Token()
		wantKind(t, err, tokensource.ErrTimeout)
		if tok != nil {
			t.Errorf("got a token of type %v, want none", tok.Type())
		}
		between(t, "the wait", time.Since(start), 10*time.Second, 10*time.Second)
	})
}
