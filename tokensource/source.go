// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/internal/lru"
)

// An Issuer obtains tokens. Package passport has the issuers for Pismo.
//
// A [Source] does not ask for two tokens of one account at once, as long as
// Issue obeys its context. It does ask for the tokens of several accounts at
// once, so Issue must be safe for concurrent use.
//
// Issue must return when ctx is done. An error should be an [*Error], made with
// [NewError], so that the Source knows how to react. An error that wraps
// context.DeadlineExceeded counts as [ErrTimeout], and any other error as
// [ErrUnavailable].
//
// An Issuer may have three more methods:
//
//   - Reissue is called instead of Issue, see [Reissuer].
//   - Validate() error reports every fault in the issuer's configuration. [New]
//     calls it.
//   - Revision(ctx context.Context) string returns a value that changes with
//     the credentials. A Source calls Revision before each Issue. In a cooldown
//     it also calls Revision when a caller asks for a token, at most once a
//     second. If the value has changed, the Source issues again at once. An
//     empty string means that the revision is unknown, and does not count as a
//     change. Revision must be safe for concurrent use. The value must not
//     reveal a secret.
type Issuer interface {
	Issue(ctx context.Context, account Account) (Grant, error)
}

const idleAccount = 15 * time.Minute

// A Source hands out tokens, one per account. It issues each token once,
// however many callers ask for it, and renews the token before it expires. Make
// a Source with [New], one for each set of credentials. Two Sources share
// nothing. The methods of a Source are safe for concurrent use. A Source need
// not be closed: its goroutines end with their issuances, and every issuance
// ends within Config.IssueTimeout.
type Source struct {
	issuer Issuer
	hooks  Hooks
	limits atomic.Pointer[limits]

	entries   *lru.Map[Account, entry, *entry]
	serials   atomic.Uint64 // the last token's serial number
	issuances atomic.Uint64 // the last issuance's number

	breaker  breaker
	revision revision

	clock clock
}

// New returns a Source. It contacts no server. The error reports every fault in
// the configuration, as [*ConfigError] values joined by errors.Join.
func New(config Config) (*Source, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	s := &Source{
		issuer:  config.Issuer,
		hooks:   config.Hooks,
		entries: lru.New[Account, entry](config.MaxAccounts, idleAccount, Account.hash),
	}
	s.clock.start()
	s.limits.Store(newLimits(config.limits(), nil))
	s.revision.reviser, _ = config.Issuer.(reviser)
	return s, nil
}

// Token returns a token for account that can be sent now.
//
// Token returns a fresh token at once. It also returns a stale token at once,
// and issues another in the background. Without a usable token, the caller
// waits for the issuance that runs for the account, or starts one. In a
// cooldown, Token returns the cause of the failure instead, with the time after
// which a retry makes sense.
//
// The context bounds only the caller's own wait. The issuance continues for the
// other callers. Errors are of type [*Error].
func (s *Source) Token(ctx context.Context, account Account) (*Token, error) {
	now := s.now() // Before the look-up: a processor waits for all earlier loads before it reads a clock.
	if e, ok := s.entries.Load(account); ok {
		if t := e.fresh(now); t != nil {
			return s.cached(ctx, t), nil
		}
	}
	return s.acquire(ctx, account)
}

// Renew returns another token for the account of refused, a token to which the
// platform answered 401.
//
// If refused is no longer the current token, Renew returns the current token
// and issues nothing. Otherwise it issues one token, however many callers ask.
// New callers of Token wait for that token too, for at most a second. They do
// not wait if the last renewal failed.
//
// Each account has a budget of three renewals. It regains one renewal in each
// sixtieth of the token's lifetime: every 10 s for a token of ten minutes. If
// the budget is spent, or the renewal fails, Renew returns an [*Error]. The
// refused token then stays in service until it expires, or until three
// endpoints have refused it: a refusal by one endpoint does not mean that the
// token is revoked. See [Token.ReportRefused].
func (s *Source) Renew(ctx context.Context, refused *Token) (*Token, error) {
	return s.renew(ctx, refused)
}

// RenewInBackground issues a new token like Renew, but does not wait for it.
// The Source hands the refused token out until the new token arrives. Use it
// for a refusal that may have a cause other than the token.
func (s *Source) RenewInBackground(ctx context.Context, refused *Token) {
	s.renewInBackground(ctx, refused)
}

// BeginRenewal starts the renewal that Renew starts, but does not wait for it.
// Use it for the refusal of a request that cannot be sent again: its caller
// would gain nothing by waiting. Unlike RenewInBackground, it takes the refused
// token out of service: new callers of Token wait for the new token as they do
// after Renew, for at most a second, and not if the last renewal failed.
// BeginRenewal reports no error, and calls no Renew hook.
func (s *Source) BeginRenewal(ctx context.Context, refused *Token) {
	s.beginRenewal(ctx, refused)
}

func (s *Source) now() instant { return s.clock.now() }

// cached reports t to the Acquire hook, and returns t.
func (s *Source) cached(ctx context.Context, t *Token) *Token {
	if s.hooks.Acquire != nil {
		if _, done := s.hooks.Acquire(ctx, AcquireInfo{Account: t.account, Origin: OriginCached, Repeated: s.repeated(ctx, t.account)}); done != nil {
			done(AcquireResult{Serial: t.serial})
		}
	}
	return t
}
