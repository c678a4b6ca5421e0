package tokensource

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// ForAccount returns the tokens of one account, without a look-up for each.
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

// OAuth2 returns the tokens of one account as a [oauth2.TokenSource], for code
// that takes one. As its Token method has no context, it waits for at most
// Config.IssueTimeout.
//
// Use it as it is. Wrapped in [oauth2.ReuseTokenSource], or handed to
// oauth2.NewClient, which wraps it so, a token that was revoked stays in that
// second cache until it expires. What it returns is a plain oauth2.Token,
// which prints its value.
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
		Expiry:      time.Unix(0, t.dead.wall),
	}, nil
}
