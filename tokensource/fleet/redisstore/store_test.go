// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

func newStore(t *testing.T, config redisstore.Config) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestNew_ReportsEveryFault(t *testing.T) {
	_, err := redisstore.New(redisstore.Config{UserFile: "x", Database: -1, Prefix: "{a}:"})
	for _, field := range []string{"Config.Addr", "Config.PasswordFile", "Config.Database", "Config.Prefix"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("the error %v does not name %s", err, field)
		}
	}
}

func TestStore_ErrorSaysWhich(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	store := newStore(t, redisstore.Config{Addr: []string{s.addr}})
	publish := func(name string) error {
		_, err := store.Publish(t.Context(), "p1:"+name, fleet.Publication{Owner: "a", Value: []byte("x"), TTL: time.Minute})
		return err
	}
	if err := publish("well"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		do, undo []string
		want     string
	}{
		{[]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}, "READONLY"},
		{[]string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}, "OOM"},
	} {
		s.cli(t, tt.do...)
		if err := publish(tt.want); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got error %v, want %s", err, tt.want)
		}
		s.cli(t, tt.undo...)
	}
}

// An endpoint grants a different token to each call.
type endpoint struct{ calls atomic.Int64 }

func (e *endpoint) Issue(_ context.Context, account tokensource.Account) (tokensource.Grant, error) {
	value := fmt.Sprintf("secrettoken-%s-%d", account.ID(), e.calls.Add(1))
	return tokensource.Grant{Token: tokensource.NewSecret(value), ExpiresIn: 10 * time.Minute}, nil
}

func account(t *testing.T, number int) tokensource.Account {
	t.Helper()
	account, err := tokensource.ParseAccountID(strconv.Itoa(number))
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func get(t *testing.T, src *tokensource.Source, number int) {
	t.Helper()
	account := account(t, number)
	tok, err := src.Token(t.Context(), account)
	if err != nil {
		t.Error("Token:", err)
		return
	}
	if !strings.HasPrefix(tok.Reveal(), "secrettoken-"+account.ID()+"-") {
		t.Error("the token is of another account")
	}
}

// A dump of the server shows no secret, and an account takes little memory.
func TestStore_SharesWithoutTelling(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	const replicas, accounts, first = 5, 100, 7700001
	var e endpoint
	var all sync.WaitGroup
	for range replicas {
		src := newReplica(t, &e, newStore(t, redisstore.Config{Addr: []string{s.addr}})).Source
		all.Go(func() {
			for n := range accounts {
				get(t, src, first+n)
			}
		})
	}
	all.Wait()
	// A process that is starved for 250 ms continues without the store.
	if n := e.calls.Load(); n < accounts || n > accounts*replicas {
		t.Errorf("%d issuances for %d accounts", n, accounts)
	}
	t.Logf("%d issuances for %d accounts and %d replicas", e.calls.Load(), accounts, replicas)
	keys := strings.Fields(s.cli(t, "--scan"))
	if len(keys) == 0 {
		t.Fatal("the store is empty")
	}
	for _, key := range keys {
		dump := key + s.cli(t, "GET", key)
		for _, hidden := range []string{"secrettoken", "77000", "16 bytes"} {
			if strings.Contains(dump, hidden) {
				t.Errorf("the server has %q", hidden)
			}
		}
		if ttl := strings.TrimSpace(s.cli(t, "PTTL", key)); strings.HasPrefix(ttl, "-1") {
			t.Errorf("a key does not expire")
		}
	}
}
