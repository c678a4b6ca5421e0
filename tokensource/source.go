package tokensource

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/internal/lru"
)

// An Issuer obtains tokens; package passport has the ones for Pismo. A
// [Source] never asks for two tokens of one account at once, but for several
// accounts it does: Issue must be safe for concurrent use.
//
// Issue returns when ctx is done. An error should be an [*Error], made with
// [NewError], so that the Source knows what to do about it; any other counts
// as [ErrUnavailable].
//
// An Issuer may have two more methods:
//
//   - Validate() error reports every fault in its configuration. [New] calls it.
//   - Revision(ctx context.Context) string returns something that changes with
//     its credentials. While issuances fail, a Source asks at most once a
//     second, and a change makes it try again at once. "" means that it cannot
//     be told now, and is no change. It is called by several goroutines, and
//     must not reveal a secret.
type Issuer interface {
	Issue(ctx context.Context, account Account) (Grant, error)
}

const idleAccount = 15 * time.Minute

// A Source hands out tokens, one per account: each is issued once however many
// ask for it, kept while it lives, and renewed before it expires. Make one with
// [New], one for each set of credentials; two Sources share nothing. Its
// methods are safe for concurrent use. It has nothing to close: its goroutines
// end with the issuances they run, at the latest after Config.IssueTimeout.
type Source struct {
	issuer Issuer
	hooks  Hooks
	limits atomic.Pointer[limits]

	entries   *lru.Map[Account, entry, *entry]
	serials   atomic.Uint64 // of tokens
	issuances atomic.Uint64 // numbers of issuances

	breaker  breaker
	revision revision

	epoch time.Time
	clock func() instant // nil outside of tests
}

// New returns a Source. It contacts no one. Every fault in the configuration
// is reported, as [*ConfigError] values joined by errors.Join.
func New(config Config) (*Source, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	s := &Source{
		issuer:  config.Issuer,
		hooks:   config.Hooks,
		entries: lru.New[Account, entry](config.MaxAccounts, idleAccount),
		epoch:   time.Now(),
	}
	s.limits.Store(newLimits(config.limits(), nil))
	s.revision.reviser, _ = config.Issuer.(reviser)
	return s, nil
}

// Token returns a token for account that is fit to be sent now.
//
// A fresh token is returned at once. One that is near its expiry is returned
// at once too, while another is issued in the background. Without a usable
// token the caller waits for the one issuance that runs for the account, or
// starts it; if issuances failed a moment ago, it gets the cause instead, with
// the time after which asking again makes sense.
//
// The context bounds the caller's own wait, and nothing else: an issuance goes
// on for those who stay. Errors are of type [*Error].
func (s *Source) Token(ctx context.Context, account Account) (*Token, error) {
	if e, ok := s.entries.Load(account); ok {
		if t := e.fresh(s.now()); t != nil {
			return s.cached(ctx, t), nil
		}
	}
	return s.acquire(ctx, account)
}

// Renew returns another token for the account of refused, which the platform
// answered with a 401.
//
// If refused is not the current token any more, the current one is returned
// and nothing is issued. Otherwise one is issued, however many ask, and until
// it is there new callers of Token wait for it too. Renewals draw on a budget
// of three per account, one of which comes back with each sixtieth of the
// token's lifetime (10 s at 10 min). If it is spent, or the renewal fails,
// Renew says so with an [*Error], and the refused token stays in service until
// it expires: refused by one endpoint is not revoked.
func (s *Source) Renew(ctx context.Context, refused *Token) (*Token, error) {
	return s.renew(ctx, refused)
}

// RenewInBackground does what Renew does, but waits for nothing, and lets the
// token be handed out until the new one is there. It is for a refusal that may
// have been about something else.
func (s *Source) RenewInBackground(ctx context.Context, refused *Token) {
	s.renewInBackground(ctx, refused)
}

// BeginRenewal begins what Renew does, and waits for nothing. It is for the
// refusal of a request that cannot be sent again, whose caller would wait in
// vain. New callers of Token wait for the new token, as they do for Renew.
func (s *Source) BeginRenewal(ctx context.Context, refused *Token) {
	s.beginRenewal(ctx, refused)
}

func (s *Source) now() instant {
	if s.clock != nil {
		return s.clock()
	}
	now := time.Now()
	return instant{mono: now.Sub(s.epoch), wall: now.UnixNano()}
}

// cached tells the hooks that t was there, and returns it.
func (s *Source) cached(ctx context.Context, t *Token) *Token {
	if s.hooks.Acquire != nil {
		if _, done := s.hooks.Acquire(ctx, AcquireInfo{Account: t.account, Origin: OriginCached, Repeated: s.repeated(ctx, t.account)}); done != nil {
			done(AcquireResult{Serial: t.serial})
		}
	}
	return t
}
