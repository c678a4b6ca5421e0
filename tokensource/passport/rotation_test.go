// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A traffic is 1,000 requests per second for the tokens of ten accounts.
type traffic struct {
	failed, sent atomic.Int64
	stop         chan struct{}
	wait         sync.WaitGroup
}

func startTraffic(t *testing.T, source *tokensource.Source) *traffic {
	t.Helper()
	tr := &traffic{stop: make(chan struct{})}
	for i := range 10 {
		acct := account(t, fmt.Sprint(100+i))
		tr.wait.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tr.stop:
					return
				case <-tick.C:
				}
				tr.sent.Add(1)
				if _, err := source.Token(t.Context(), acct); err != nil && tr.failed.Add(1) == 1 {
					t.Log(err)
				}
			}
		})
	}
	return tr
}

func (tr *traffic) end(t *testing.T, seconds int64) {
	t.Helper()
	close(tr.stop)
	tr.wait.Wait()
	if n := tr.sent.Load(); n < 990*seconds {
		t.Errorf("%d requests were sent, want %d or more", n, 990*seconds)
	}
	if n := tr.failed.Load(); n != 0 {
		t.Errorf("%d of %d requests failed", n, tr.sent.Load())
	}
}

func TestFileKey_SwapUnderLoad(t *testing.T) {
	one, two := keyOne(), keyTwo()
	path := keyFile(t, one)
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{Lifetime: 2 * time.Second})
		s.RegisterKey(&one.PublicKey)
		source := sourceOf(t, s.OpenIDIssuer(passport.FileKey(path), accountsGroup))
		load := startTraffic(t, source)
		time.Sleep(3 * time.Second)
		s.RegisterKey(&two.PublicKey)
		replaceKey(t, path, two)
		source.InvalidateAll()
		time.Sleep(time.Second)
		s.WithdrawKey(&one.PublicKey)
		time.Sleep(3 * time.Second)
		load.end(t, 7)
	})
}

// At one unannounced moment, the old key is withdrawn and the new key is
// registered.
func TestFileKey_OverlapUnderLoad(t *testing.T) {
	one, two := keyOne(), keyTwo()
	key := passport.FileKey(keyFile(t, one), keyFile(t, two))
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{Lifetime: 2 * time.Second})
		s.RegisterKey(&one.PublicKey)
		source := sourceOf(t, s.OpenIDIssuer(key, accountsGroup))
		load := startTraffic(t, source)
		time.Sleep(3 * time.Second)
		s.WithdrawKey(&one.PublicKey)
		s.RegisterKey(&two.PublicKey)
		source.InvalidateAll()
		time.Sleep(4 * time.Second)
		load.end(t, 7)
		refused := s.Counts().Assertions[passporttest.FaultSignature]
		if refused == 0 || refused > 10 {
			t.Errorf("%d assertions were refused, want at most one per account", refused)
		}
	})
}

func TestFileKey_RecoversWithoutOverlap(t *testing.T) {
	one, two := keyOne(), keyTwo()
	path := keyFile(t, one)
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{})
		s.RegisterKey(&two.PublicKey)
		source := sourceOf(t, s.OpenIDIssuer(passport.FileKey(path), accountsGroup))
		_, err := source.Token(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrCredentialsRejected)
		if !strings.Contains(err.Error(), "the key was refused") || !strings.Contains(err.Error(), "key.pem") {
			t.Errorf("got error %q, want that the key was refused, and its file", err)
		}
		_, err = source.Token(t.Context(), account(t, "42"))
		if !strings.Contains(err.Error(), "the key was refused") {
			t.Errorf("got error %q, want that the key was refused", err)
		}
		s.RegisterKey(&one.PublicKey)
		time.Sleep(5 * time.Minute)
		if _, err := source.Token(t.Context(), tokensource.Organization()); err != nil {
			t.Errorf("the issuer does not recover: %v", err)
		}
	})
}

// A new file ends the cooldown, because the Source sees another revision.
func TestFileKey_NewFileEndsCooldown(t *testing.T) {
	one, two := keyOne(), keyTwo()
	path := keyFile(t, one)
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{})
		s.RegisterKey(&two.PublicKey)
		source := sourceOf(t, s.OpenIDIssuer(passport.FileKey(path), accountsGroup))
		for range 5 {
			_, _ = source.Token(t.Context(), tokensource.Organization())
			time.Sleep(30 * time.Second)
		}
		_, err := source.Token(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrCredentialsRejected)
		replaceKey(t, path, two)
		time.Sleep(1100 * time.Millisecond)
		if _, err := source.Token(t.Context(), tokensource.Organization()); err != nil {
			t.Errorf("after a new key: got error %v, want a token", err)
		}
	})
}

func TestFileKey_RemembersWorkingKey(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&keyTwo().PublicKey)
	o := s.OpenIDIssuer(passport.FileKey(keyFile(t, keyOne()), keyFile(t, keyTwo())), accountsGroup)
	before, requests := o.Revision(t.Context()), 0
	for range 3 {
		if _, err := o.Issue(t.Context(), account(t, "42")); err != nil {
			t.Fatal(err)
		}
		requests++
	}
	if n := s.Counts().TokenRequests; n != requests+1 {
		t.Errorf("%d token requests for %d tokens", n, requests)
	}
	if o.Revision(t.Context()) != before {
		t.Error("the revision changes although the key is the same")
	}
}

func TestFileKey_LeavesOutUnusableFile(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.RegisterKey(&keyOne().PublicKey)
	good, bad := keyFile(t, keyOne()), t.TempDir()
	for _, key := range []passport.Key{passport.FileKey(good, bad), passport.FileKey(bad+"/missing", good)} {
		if _, err := s.OpenIDIssuer(key, accountsGroup).Issue(t.Context(), tokensource.Organization()); err != nil {
			t.Error(err)
		}
	}
}

// Only a 401 concerns the key.
func TestFileKey_OtherAnswersTryNoOtherKey(t *testing.T) {
	for _, status := range []int{403, 429, 500} {
		requests := 0
		o := openIDIssuer(serve(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			answer(status, `{"message":"x"}`)(w, r)
		}), passport.SignerKey(keyOne(), keyTwo()))
		_, err := o.Issue(t.Context(), tokensource.Organization())
		if failure(t, err).StatusCode != status || requests != 1 {
			t.Errorf("status %d: got %d requests, error %v, want 1 request and the status", status, requests, err)
		}
	}
}
