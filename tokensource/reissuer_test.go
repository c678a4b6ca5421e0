// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A fakeReissuer is a fakeIssuer that records its Needs.
type fakeReissuer struct {
	fakeIssuer

	needs   []tokensource.Need
	adopted bool
}

func (r *fakeReissuer) Reissue(ctx context.Context, need tokensource.Need) (tokensource.Grant, error) {
	r.needs = append(r.needs, need)
	grant, err := r.Issue(ctx, need.Account)
	grant.Adopted = r.adopted
	return grant, err
}

func TestReissuer_LearnsTheNeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &fakeReissuer{}
		src := newSource(t, r)
		first := token(t, src, acct(t, 1))
		second := renew(t, src, first)
		time.Sleep(500 * time.Second)
		token(t, src, acct(t, 1))
		synctest.Wait()
		third := token(t, src, acct(t, 1))
		time.Sleep(time.Hour)
		fourth := token(t, src, acct(t, 1))
		src.Invalidate(acct(t, 1))
		token(t, src, acct(t, 1))
		want := []struct {
			reason   tokensource.IssueReason
			replaces *tokensource.Token
		}{
			{tokensource.ReasonCold, nil},
			{tokensource.ReasonRefused, first},
			{tokensource.ReasonAhead, second},
			{tokensource.ReasonExpired, third},
			{tokensource.ReasonCold, fourth},
		}
		if len(r.needs) != len(want) {
			t.Fatalf("%d needs, want %d", len(r.needs), len(want))
		}
		for i, need := range r.needs {
			value, life := "", time.Duration(0)
			if old := want[i].replaces; old != nil {
				value, life = old.Reveal(), lifetime
			}
			if need.Account != acct(t, 1) || need.Reason != want[i].reason || need.Replaces.Reveal() != value || need.ReplacedLifetime != life {
				t.Errorf("need %d: reason %q, lifetime %v, or the wrong token to replace", i, need.Reason, need.ReplacedLifetime)
			}
		}
	})
}

func TestReissuer_HookLearnsOfAdoption(t *testing.T) {
	for _, adopted := range []bool{false, true} {
		var result tokensource.IssueResult
		src := newSource(t, &fakeReissuer{adopted: adopted}, func(c *tokensource.Config) {
			c.Hooks.Issue = func(ctx, _ context.Context, _ tokensource.IssueInfo) (context.Context, func(tokensource.IssueResult)) {
				return ctx, func(r tokensource.IssueResult) { result = r }
			}
		})
		token(t, src, acct(t, 1))
		if result.Adopted != adopted {
			t.Errorf("Adopted is %v, want %v", result.Adopted, adopted)
		}
	}
}

// A spent budget of several processes must not open the breaker, because it
// says nothing about other accounts.
func TestReissuer_SharedBudgetIsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &fakeReissuer{}
		src := newSource(t, r)
		var all []*tokensource.Token
		for _, account := range accts(t, 4) {
			all = append(all, token(t, src, account))
		}
		r.fail(tokensource.NewError(tokensource.ErrRenewalLimited, nil))
		for _, tok := range all {
			wantNotRenewed(t, src, tok, tokensource.ErrRenewalLimited)
			if token(t, src, tok.Account()) != tok {
				t.Error("the token is out of service")
			}
		}
		r.fail(nil)
		token(t, src, acct(t, 1))
	})
}
