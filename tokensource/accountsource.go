// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// ForAccount returns a source of the tokens of one account. It saves the
// look-up that [Source.Token] makes.
func (s *Source) ForAccount(account Account) *AccountSource {
	return &AccountSource{source: s, account: account}
}

// An AccountSource is a [Source] for one account. It is safe for concurrent
// use.
type AccountSource struct {
	source  *Source
	account Account
	entry   atomic.Pointer[entry]
}

// Account returns the account.
func (a *AccountSource) Account() Account { return a.account }

// Token is [Source.Token] for this account.
func (a *AccountSource) Token(ctx context.Context) (*Token, error) {
	if e := a.entry.Load(); e != nil {
		if t := e.fresh(a.source.now()); t != nil {
			return a.source.cached(ctx, t), nil
		}
	}
	t, err := a.source.acquire(ctx, a.account)
	if e, ok := a.source.entries.Load(a.account); ok {
		a.entry.Store(e)
	}
	return t, err
}

// OAuth2 returns the tokens of one account as an [oauth2.TokenSource]. Its
// Token method has no context, and so waits for at most Config.IssueTimeout.
// The Expiry of an oauth2.Token is the time when the Source stops handing the
// token out. Its TokenType is Bearer, even for a Grant with Bare.
//
// Do not wrap the result in [oauth2.ReuseTokenSource], and do not pass it to
// oauth2.NewClient, which does the same. That second cache keeps a revoked
// token until it expires. An oauth2.Token prints its value, unlike a [Token].
func (s *Source) OAuth2(account Account) oauth2.TokenSource {
	return oauth2Source{s.ForAccount(account)}
}

type oauth2Source struct{ tokens *AccountSource }

func (o oauth2Source) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.tokens.source.limits.Load().timeout)
	defer cancel()
	t, err := o.tokens.Token(ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{
		AccessToken: t.Reveal(),
		TokenType:   "Bearer",
		Expiry:      time.Unix(0, t.unusable().wall),
	}, nil
}
