// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/pismoauth/pismoauth/caddyplugin"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A memoryStore is a module of pismo.stores for these tests. All instances have
// the same memory.
type memoryStore struct{ *fleettest.Memory }

var (
	memory      = new(fleettest.Memory)
	loaded      atomic.Int64 // the number of instances that are in use
	_           caddyplugin.Store
	errReadOnly = tokensource.SafeError("the server answers READONLY", errors.New("dial tcp redis.internal:6379: hunter2"))
)

func init() { caddy.RegisterModule(memoryStore{}) }

func (memoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "pismo.stores.test", New: func() caddy.Module { return new(memoryStore) }}
}

func (m *memoryStore) Provision(caddy.Context) error {
	m.Memory = memory
	loaded.Add(1)
	return nil
}

func (*memoryStore) Cleanup() error {
	loaded.Add(-1)
	return nil
}

func (*memoryStore) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// A Claim of a store that was cleaned up fails.
func (m *memoryStore) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	if loaded.Load() == 0 {
		return fleet.Claim{}, errors.New("the store was cleaned up")
	}
	return m.Memory.Claim(ctx, name, ask)
}

func (s *fixture) store() store {
	s.t.Helper()
	got := s.clients()[0].Store
	if got == nil {
		s.t.Fatal("the admin API shows no store")
	}
	return *got
}

// restart starts Caddy several times, and stops it each time. Each time it
// sends a request and calls look. All starts together cost one issuance.
func (s *fixture) restart(config string, starts int, look func(start int)) {
	s.t.Helper()
	for n := range starts {
		if err := load(config); err != nil {
			s.t.Fatal(err)
		}
		wantStatus(s.t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
		look(n)
		if err := caddy.Stop(); err != nil {
			s.t.Fatal(err)
		}
	}
	if n := s.pismo.Counts().Issued; n != 1 {
		s.t.Errorf("%d tokens were issued, want 1", n)
	}
}

// After a restart, Caddy finds its tokens in its own storage.
func TestStorageStore_TokensOutliveCaddy(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	storage := t.TempDir()
	config := strings.Replace(s.caddyfile("store caddy", byHeader), "persist_config off", "persist_config off\nstorage file_system "+storage, 1)
	s.restart(config, 3, func(n int) {
		if got := s.store(); !got.Reachable || got.Adopted != uint64(min(n, 1)) || got.Failed != 0 {
			t.Errorf("after start %d the store is %+v", n+1, got)
		}
	})
	if lines := s.warnings(); len(lines) != 0 {
		t.Errorf("Caddy warns: %s", lines)
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(storage, "pismo"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		for _, secret := range []string{alice, s.pismo.ServerKey(), s.pismo.ServerSecret(), "eyJ"} {
			if strings.Contains(path, secret) || strings.Contains(string(content), secret) {
				t.Errorf("the storage has %q", secret)
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("the storage has %d files of the store, error %v", files, err)
	}
}

// Two clients with the same credentials are like two Caddys.
func TestStore_ClientsShareTokens(t *testing.T) {
	memory.Clear()
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile(`store test
		}
		client other {
			base_url      $URL
			server_key    {file.$SECRETS/key}
			server_secret {file.$SECRETS/secret}
			store         test`, `
	@other header X-Client other
	pismo_proxy @other $PISMO {
		client other
		account_header X-Account [0-9]+
	}
	pismo_proxy $PISMO {
		client main
		account_header X-Account [0-9]+
	}`))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	wantStatus(t, s.get(alice, withField("X-Account", alice), withField("X-Client", "other")), http.StatusOK)
	if n := s.pismo.Counts().Issued; n != 1 {
		t.Errorf("%d tokens were issued, want 1", n)
	}
	metrics := s.adminSend(http.MethodGet, "/metrics", "").body
	for _, want := range []string{
		`pismo_store_operations_total{client="other",pismo_store_operation="claim",pismo_store_outcome="found"} 1`,
		`pismo_store_open{client="main"} 0`,
		`pismo_token_issuances_total{client="other",pismo_token_issue_adopted="true",pismo_token_issue_reason="cold"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
}

// Two organizations with one store and one store_key never share a token.
func TestStore_SeparatesServerKeys(t *testing.T) {
	memory.Clear()
	s := newFixture(t, passporttest.Config{})
	key, secret := s.pismo.AddKey()
	s.writeSecret("other-key", key)
	s.writeSecret("other-secret", secret)
	s.writeSecret("store-key", "a secret of more than 16 bytes")
	s.start(s.caddyfile(`store test
			store_key     {file.$SECRETS/store-key}
		}
		client other {
			base_url      $URL
			server_key    {file.$SECRETS/other-key}
			server_secret {file.$SECRETS/other-secret}
			store         test
			store_key     {file.$SECRETS/store-key}`, `
	@other header X-Client other
	pismo_proxy @other $PISMO {
		client other
		account_header X-Account [0-9]+
	}
	pismo_proxy $PISMO {
		client main
		account_header X-Account [0-9]+
	}`))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	wantStatus(t, s.get(alice, withField("X-Account", alice), withField("X-Client", "other")), http.StatusOK)
	if n := s.pismo.Counts().Issued; n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
}

func TestStore_FailureCostsNoRequest(t *testing.T) {
	memory.Clear()
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("store test", byHeader))
	memory.SetFault(fleettest.Fail(errReadOnly))
	defer memory.SetFault(nil)
	for _, account := range []string{alice, bob, "5", "6"} {
		wantStatus(t, s.get(account, withField("X-Account", account)), http.StatusOK)
	}
	got := s.store()
	if got.Reachable || got.OpenUntil == nil || got.Failed != 5 || got.Skipped == 0 || got.LastError != "fleet: the store failed: claim: the server answers READONLY" {
		t.Errorf("the store is %+v", got)
	}
	lines := strings.Join(s.warnings(), "\n")
	if strings.Count(lines, "token store is failing") != 1 || !strings.Contains(lines, "READONLY") || strings.Contains(strings.Join(s.log(), "\n"), "hunter2") {
		t.Errorf("Caddy warns: %s", lines)
	}
}

// A reload with the same store keeps the state of the store, and cleans up what
// the old configuration had.
func TestStore_ReloadKeepsItsState(t *testing.T) {
	memory.Clear()
	s := newFixture(t, passporttest.Config{})
	s.start(s.caddyfile("store test", byHeader))
	wantStatus(t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	before := s.store()
	s.reload(s.caddyfile("store test\nmax_accounts 5", byHeader))
	if got := s.store(); got.Succeeded != before.Succeeded || got.Succeeded == 0 {
		t.Errorf("after a reload the store is %+v, want %+v", got, before)
	}
	s.await("the old store is not cleaned up", func() bool { return loaded.Load() == 1 })
	wantStatus(t, s.get(bob, withField("X-Account", bob)), http.StatusOK)
	if got := s.store(); got.Failed != 0 || got.Succeeded == before.Succeeded {
		t.Errorf("the new configuration's store is %+v", got)
	}
}

func TestStore_FaultsOfItsKey(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.writeSecret("short", "too short")
	s.writeKey("pem", keyOne())
	for name, test := range map[string]struct{ caddyfile, want string }{
		"short":        {s.caddyfile("store caddy\nstore_key {file.$SECRETS/short}", byHeader), "store_key: has fewer than 16 bytes"},
		"missing":      {s.caddyfile("store caddy\nstore_key {file.$SECRETS/none}", byHeader), "store_key: file"},
		"a literal":    {s.caddyfile("store caddy\nstore_key hunter2", byHeader), "store_key: is not one placeholder"},
		"without any":  {s.caddyfile("store_key {file.$SECRETS/short}", byHeader), "has store_key, but no store"},
		"openid, none": {strings.Replace(s.openIDCaddyfile("key_file $SECRETS/pem"), "openid {", "store caddy\nopenid {", 1), "has openid and store: set store_key"},
	} {
		err := load(s.expand(test.caddyfile))
		if err == nil {
			_ = caddy.Stop()
			t.Errorf("%s: Caddy starts", name)
			continue
		}
		if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// With OpenID, the store has a key of its own.
func TestStore_SharesTokensOfOpenID(t *testing.T) {
	memory.Clear()
	s := newFixture(t, passporttest.Config{})
	s.pismo.RegisterKey(&keyOne().PublicKey)
	s.writeKey("pem", keyOne())
	s.writeSecret("store-key", "a secret of more than 16 bytes")
	config := strings.Replace(s.openIDCaddyfile("key_file $SECRETS/pem"), "openid {", s.expand("store test\nstore_key {file.$SECRETS/store-key}\nopenid {"), 1)
	s.restart(config, 2, func(int) {})
}

// A store is the state of a store in the admin API.
type store struct {
	Reachable bool       `json:"reachable"`
	LastError string     `json:"last_error"`
	OpenUntil *time.Time `json:"open_until"`
	Adopted   uint64     `json:"adopted"`
	Poisoned  uint64     `json:"poisoned"`
	Succeeded uint64     `json:"succeeded"`
	Failed    uint64     `json:"failed"`
	Skipped   uint64     `json:"skipped"`
}
