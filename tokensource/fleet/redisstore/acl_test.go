// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

// permissions are those that the page and the package documentation name.
var permissions = strings.Fields("resetkeys ~pismo:* -@all +eval +evalsha +get +set +pttl +del +select")

// allow gives a user permissions, and returns the configuration of a store.
func (s *server) allow(t *testing.T, permissions []string) redisstore.Config {
	t.Helper()
	s.cli(t, append([]string{"ACL", "SETUSER", "pismo", "reset", "on", ">secret"}, permissions...)...)
	return redisstore.Config{Addr: []string{s.addr}, UserFile: write(t, "pismo\n"), PasswordFile: write(t, "secret\n"), Database: 1}
}

// useAll calls each method of a store so that each command is needed.
func useAll(t *testing.T, store *redisstore.Store) error {
	t.Helper()
	ctx := t.Context()
	if _, err := store.Claim(ctx, "p1:all", fleet.Ask{Owner: "a", Lease: time.Minute}); err != nil {
		return err
	}
	if _, err := store.Publish(ctx, "p1:all", fleet.Publication{Owner: "a", Value: []byte("x"), TTL: time.Minute}); err != nil {
		return err
	}
	if _, err := store.Claim(ctx, "p1:all", fleet.Ask{Owner: "a"}); err != nil {
		return err
	}
	_, err := store.Take(ctx, "p1:all", 3, time.Minute)
	return err
}

// A user with exactly the documented permissions can do everything. Without any
// one of them, it cannot.
func TestStore_KeepsTheContract(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	config := s.allow(t, permissions)
	fleettest.Run(t, func(t *testing.T) fleet.Store { return newStore(t, config) })

	for i, permission := range permissions {
		if !strings.HasPrefix(permission, "+") {
			continue
		}
		s.cli(t, "FLUSHALL")
		s.cli(t, "SCRIPT", "FLUSH")
		config := s.allow(t, slices.Concat(permissions[:i], permissions[i+1:]))
		if useAll(t, newStore(t, config)) == nil {
			t.Errorf("nothing needs the permission %s", permission)
		}
	}
	s.cli(t, "ACL", "SETUSER", "default", "off")
}

// The scripts are sent again when the server has forgotten them.
func TestStore_SendsForgottenScripts(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	store := newStore(t, redisstore.Config{Addr: []string{s.addr}})
	for range 2 {
		if err := useAll(t, store); err != nil {
			t.Fatal(err)
		}
		s.cli(t, "SCRIPT", "FLUSH")
		s.cli(t, "FLUSHALL")
	}
}

func TestStore_KeepsTheContractOnValkey(t *testing.T) {
	s := startServer(t, "valkey-server")
	if s == nil {
		return
	}
	config := s.allow(t, permissions)
	fleettest.Run(t, func(t *testing.T) fleet.Store { return newStore(t, config) })
}
