// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// lifetime is the default lifetime of a fakeIssuer's tokens.
const lifetime = 600 * time.Second

// errDown is the error of a fakeIssuer whose endpoint is down.
var errDown = tokensource.NewError(tokensource.ErrUnavailable, errors.New("connection refused"))

// An issuerFunc is a function as an Issuer.
type issuerFunc func(context.Context, tokensource.Account) (tokensource.Grant, error)

func (f issuerFunc) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	return f(ctx, account)
}

// A fakeIssuer is an Issuer that simulates a token endpoint. It has a latency.
// It grants tokens that name their account and a number, or it refuses. It
// records the time and the account of each call.
type fakeIssuer struct {
	latency  time.Duration
	lifetime time.Duration // 600 s if 0

	mu     sync.Mutex
	refuse func(tokensource.Account) error // nil to grant
	calls  []fakeIssuerCall
	atWork int
	most   int // concurrent calls
}

type fakeIssuerCall struct {
	account tokensource.Account
	at      time.Time
}

func (d *fakeIssuer) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	d.mu.Lock()
	d.calls = append(d.calls, fakeIssuerCall{account, time.Now()})
	number := len(d.calls)
	d.atWork++
	d.most = max(d.most, d.atWork)
	d.mu.Unlock()

	var err error
	if d.latency > 0 {
		select {
		case <-time.After(d.latency):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.atWork--
	if err == nil && d.refuse != nil {
		err = d.refuse(account)
	}
	if err != nil {
		return tokensource.Grant{}, err
	}
	life := d.lifetime
	if life == 0 {
		life = lifetime
	}
	return opaque(tokenFor(account)+strconv.Itoa(number), life), nil
}

// fail makes the fakeIssuer answer all calls with err. With nil it grants
// again.
func (d *fakeIssuer) fail(err error) {
	if err == nil {
		d.refuseIf(nil)
		return
	}
	d.refuseIf(func(tokensource.Account) error { return err })
}

func (d *fakeIssuer) refuseIf(refuse func(tokensource.Account) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = refuse
}

// asked returns the number of calls.
func (d *fakeIssuer) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

func (d *fakeIssuer) askedFor(account tokensource.Account) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, call := range d.calls {
		if call.account == account {
			n++
		}
	}
	return n
}

// askedBetween returns the number of calls in a span of time.
func (d *fakeIssuer) askedBetween(from, to time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, call := range d.calls {
		if !call.at.Before(from) && call.at.Before(to) {
			n++
		}
	}
	return n
}

// tokenFor returns the prefix of the tokens for account.
func tokenFor(account tokensource.Account) string {
	return string(account.Kind()) + "-" + account.ID() + "-"
}

// opaque is a grant whose token is not a JWT.
func opaque(value string, life time.Duration) tokensource.Grant {
	return tokensource.Grant{Token: tokensource.NewSecret(value), ExpiresIn: life}
}

// jwtOf returns a JWT with the given JSON as its claims. The signature is
// invalid, because no code verifies it.
func jwtOf(claims string) string { return segments(`{"alg":"HS512","typ":"JWT"}`, claims, "signature") }

// segments returns the parts, base64url-encoded and joined by dots.
func segments(parts ...string) string {
	var token []byte
	for i, part := range parts {
		if i > 0 {
			token = append(token, '.')
		}
		token = base64.RawURLEncoding.AppendEncode(token, []byte(part))
	}
	return string(token)
}

// granting returns an issuer that gives all accounts the same grant.
func granting(grant tokensource.Grant) issuerFunc {
	return func(context.Context, tokensource.Account) (tokensource.Grant, error) { return grant, nil }
}

// failing returns an issuer that returns err for all accounts.
func failing(err error) issuerFunc {
	return func(context.Context, tokensource.Account) (tokensource.Grant, error) { return tokensource.Grant{}, err }
}

func newSource(t testing.TB, issuer tokensource.Issuer, edits ...func(*tokensource.Config)) *tokensource.Source {
	t.Helper()
	config := tokensource.Config{Issuer: issuer}
	for _, edit := range edits {
		edit(&config)
	}
	src, err := tokensource.New(config)
	if err != nil {
		t.Fatal("New:", err)
	}
	return src
}

// acct returns the account with a number.
func acct[N int | int64](t testing.TB, number N) tokensource.Account {
	t.Helper()
	account, err := tokensource.ParseAccountID(strconv.FormatInt(int64(number), 10))
	if err != nil {
		t.Fatal("ParseAccountID:", err)
	}
	return account
}

// accts returns n accounts, numbered from 1000.
func accts(t testing.TB, n int) []tokensource.Account {
	t.Helper()
	accounts := make([]tokensource.Account, n)
	for i := range accounts {
		accounts[i] = acct(t, 1000+i)
	}
	return accounts
}

// token requests a token and fails the test on an error.
func token(t testing.TB, src *tokensource.Source, account tokensource.Account) *tokensource.Token {
	t.Helper()
	tok, err := src.Token(t.Context(), account)
	if err != nil {
		t.Fatal("Token:", err)
	}
	return tok
}

// wantNoToken requests a token and fails the test unless the result is an error
// of the given kind. It returns that error.
func wantNoToken(t testing.TB, src *tokensource.Source, account tokensource.Account, kind tokensource.ErrorKind) *tokensource.Error {
	t.Helper()
	tok, err := src.Token(t.Context(), account)
	if tok != nil {
		t.Errorf("got %v with error %v, want no token", tok, err)
	}
	return wantKind(t, err, kind)
}

// wantKind fails the test unless err is an *Error of the given kind.
func wantKind(t testing.TB, err error, kind tokensource.ErrorKind) *tokensource.Error {
	t.Helper()
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok {
		t.Fatalf("got error %v (%T), want an *Error", err, err)
	}
	if e.Kind != kind {
		t.Fatalf("got an error of kind %q (%v), want %q", e.Kind, e, kind)
	}
	return e
}

// wantAsked fails the test unless the fakeIssuer was called that number of
// times.
func wantAsked(t testing.TB, d *fakeIssuer, times int) {
	t.Helper()
	if got := d.asked(); got != times {
		t.Fatalf("the issuer was asked %d times, want %d", got, times)
	}
}

// A got is the result of one of several callers, and the time that the caller
// waited.
type got struct {
	token  *tokensource.Token
	err    error
	waited time.Duration
}

// together runs ask n times concurrently. Each call starts a pause after the
// previous call. The results are in the order of the calls.
func together(n int, pause time.Duration, ask func(i int) (*tokensource.Token, error)) []got {
	all := make([]got, n)
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() {
			time.Sleep(time.Duration(i) * pause)
			start := time.Now()
			tok, err := ask(i)
			all[i] = got{tok, err, time.Since(start)}
		})
	}
	callers.Wait()
	return all
}

// serials returns the distinct serial numbers of the tokens.
func serials(t testing.TB, all []got) []uint64 {
	t.Helper()
	var numbers []uint64
	for i, g := range all {
		if g.err != nil {
			t.Fatalf("caller %d: %v", i, g.err)
		}
		if !slices.Contains(numbers, g.token.Serial()) {
			numbers = append(numbers, g.token.Serial())
		}
	}
	return numbers
}

// between fails the test unless low ≤ d ≤ high.
func between(t testing.TB, what string, d, low, high time.Duration) {
	t.Helper()
	if d < low || d > high {
		t.Errorf("%s is %v, want %v to %v", what, d, low, high)
	}
}

// bubble runs a test on a fake clock. After the test, all goroutines of the
// Source must end within IssueTimeout. Otherwise the test fails: synctest
// reports a goroutine that stays blocked as a deadlock.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(10 * time.Second)
		test(t)
	})
}
