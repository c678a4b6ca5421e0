// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// refuse reports a refusal of tok by each endpoint.
func refuse(tok *tokensource.Token, endpoints int) {
	for i := range endpoints {
		tok.ReportRefused(fmt.Sprintf("api.example/endpoint-%d", i))
	}
}

// All tokens were revoked while the token endpoint is down. A refused token
// helps no caller, so requests fail at once.
func TestReportRefused_StopsARevokedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		tok := token(t, src, acct(t, 1))
		d.fail(errDown)
		refuse(tok, 2)
		wantNotRenewed(t, src, tok, tokensource.ErrUnavailable)
		if token(t, src, acct(t, 1)) != tok {
			t.Error("a token that two endpoints refused is out of service")
		}
		refuse(tok, 3)
		for range 100 {
			err := wantNoToken(t, src, acct(t, 1), tokensource.ErrUnavailable)
			if !err.Suppressed {
				t.Fatal("a caller started an issuance in the cooldown")
			}
		}
		d.fail(nil)
		time.Sleep(30 * time.Second)
		if next := token(t, src, acct(t, 1)); next == tok {
			t.Error("the revoked token is handed out again")
		}
	})
}

func TestReportRefused_IgnoresOneEndpoint(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	tok := token(t, src, acct(t, 1))
	for range 1000 {
		tok.ReportRefused("api.example/one")
	}
	if token(t, src, acct(t, 1)) != tok {
		t.Error("a token that one endpoint refused is out of service")
	}
}

func TestReportAccepted_RefutesRefusals(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	tok := token(t, src, acct(t, 1))
	refuse(tok, 2)
	tok.ReportAccepted()
	tok.ReportRefused("api.example/another")
	if token(t, src, acct(t, 1)) != tok {
		t.Error("refusals before a success count")
	}
	refuse(tok, 3)
	tok.ReportAccepted() // By a request that was in flight.
	if token(t, src, acct(t, 1)) != tok {
		t.Error("a token that is accepted again is not handed out")
	}
}

// Several endpoints that refuse every token must not start issuances without
// limit.
func TestReportRefused_DrawsOnTheBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		src := newSource(t, d)
		for start := time.Now(); time.Since(start) < time.Minute; {
			if tok, err := src.Token(t.Context(), acct(t, 1)); err == nil {
				refuse(tok, 3)
			} else {
				wantKind(t, err, tokensource.ErrRenewalLimited)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := d.asked(); n > 1+3+6 {
			t.Errorf("in a minute, the issuer was asked %d times", n)
		}
	})
}

func TestReportRefused_SparesTheSuccessor(t *testing.T) {
	d := &fakeIssuer{}
	src := newSource(t, d)
	tok := token(t, src, acct(t, 1))
	next := renew(t, src, tok)
	refuse(tok, 3)
	if token(t, src, acct(t, 1)) != next {
		t.Error("refusals of an old token have put the new token out of service")
	}
}
