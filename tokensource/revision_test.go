// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A revised issuer has a revision, which changes with its credentials.
type revised struct {
	tokensource.Issuer

	revision atomic.Pointer[string]
	asked    atomic.Int64
}

func revise(issuer tokensource.Issuer, revision string) *revised {
	r := &revised{Issuer: issuer}
	r.revision.Store(&revision)
	return r
}

func (r *revised) Revision(context.Context) string {
	r.asked.Add(1)
	return *r.revision.Load()
}

func TestRevision_ChangeEndsTheCooldown(t *testing.T) {
	for name, account := range map[string]tokensource.Account{
		"of an account": acct(t, 1), "of the Source": tokensource.Organization(),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := &fakeIssuer{}
				d.fail(failure(tokensource.ErrCredentialsRejected, 401, time.Minute))
				issuer := revise(d, "1")
				src := newSource(t, issuer)
				wantNoToken(t, src, account, tokensource.ErrCredentialsRejected)
				time.Sleep(5 * time.Second)
				wantNoToken(t, src, account, tokensource.ErrCredentialsRejected)
				wantAsked(t, d, 1)

				d.fail(nil)
				two := "2"
				issuer.revision.Store(&two)
				time.Sleep(time.Second)
				token(t, src, account)
				wantAsked(t, d, 2)
			})
		})
	}
}

func TestRevision_FailureAfterAChangeCools(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrCredentialsRejected, 401, time.Minute))
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
		two := "2"
		issuer.revision.Store(&two)
		time.Sleep(2 * time.Second)
		for range 10 {
			wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
			time.Sleep(2 * time.Second)
		}
		wantAsked(t, d, 2)
	})
}

func TestRevision_ChangeAllowsARenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		tok := token(t, src, acct(t, 1))
		d.fail(failure(tokensource.ErrAccountRejected, 401, time.Minute))
		wantNotRenewed(t, src, tok, tokensource.ErrAccountRejected)
		time.Sleep(2 * time.Second)
		wantNotRenewed(t, src, tok, tokensource.ErrAccountRejected)

		d.fail(nil)
		two := "2"
		issuer.revision.Store(&two)
		time.Sleep(2 * time.Second)
		if renew(t, src, tok) == tok {
			t.Error("the token was not renewed")
		}
	})
}

func TestRevision_IsReadOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(failure(tokensource.ErrRateLimited, 429, time.Minute))
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		time.Sleep(5 * time.Second)
		wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
		before := issuer.asked.Load()
		for range 2000 { // 200 a second
			wantNoToken(t, src, acct(t, 1), tokensource.ErrRateLimited)
			time.Sleep(5 * time.Millisecond)
		}
		if n := issuer.asked.Load() - before; n < 9 || n > 11 {
			t.Errorf("in 10 s of the cooldown, the revision was asked for %d times", n)
		}
	})
}

func TestRevision_IsNotReadWithoutFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := revise(&fakeIssuer{}, "1")
		src := newSource(t, issuer)
		for range 400 {
			token(t, src, acct(t, 1))
			time.Sleep(time.Second)
		}
		if n := issuer.asked.Load(); n != 1 { // With the issuance.
			t.Errorf("the revision was asked for %d times", n)
		}
	})
}

func TestRevision_ChangeEndsAFreshCooldown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &fakeIssuer{}
		d.fail(tokensource.NewError(tokensource.ErrCredentialsRejected, nil))
		issuer := revise(d, "1")
		src := newSource(t, issuer)
		wantNoToken(t, src, tokensource.Organization(), tokensource.ErrCredentialsRejected)
		d.fail(nil)
		two := "2"
		issuer.revision.Store(&two)
		time.Sleep(time.Millisecond)
		token(t, src, tokensource.Organization())
	})
}
