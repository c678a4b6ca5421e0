// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/pismoauth/pismoauth/caddyplugin/internal/storagestore"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

func init() {
	caddy.RegisterModule(new(StorageStore))
}

// A Store is the interface of a module in the namespace pismo.stores: the place
// where several Caddys share the tokens of a client. After a reload, the client
// uses the store of the new configuration, and Caddy cleans up the old store. A
// store that has connections keeps them in a [caddy.UsagePool].
type Store interface {
	caddy.Module
	fleet.Store
}

// StorageStore shares tokens in Caddy's storage, which needs no further
// service. The Caddys must have the same storage, and clocks that agree within
// a few seconds. It is for a few Caddys: each operation reads and writes files,
// or what the storage module has instead. For many Caddys use a store with a
// clock and transactions of its own.
type StorageStore struct {
	*storagestore.Store
}

// CaddyModule returns the Caddy module information.
func (*StorageStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "pismo.stores.caddy",
		New: func() caddy.Module { return new(StorageStore) },
	}
}

// The times of the deletion of old records.
const (
	firstSweep = time.Minute
	nextSweep  = time.Hour
)

// Provision sets up the store. It uses the storage only when a token is issued.
func (s *StorageStore) Provision(ctx caddy.Context) error {
	s.Store = storagestore.New(ctx.Storage())
	go s.sweep(ctx)
	return nil
}

// sweep deletes old records until the configuration ends.
func (s *StorageStore) sweep(ctx context.Context) {
	timer := time.NewTimer(firstSweep)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			_ = s.Sweep(ctx) // The next sweep tries again.
			timer.Reset(nextSweep)
		case <-ctx.Done():
			return
		}
	}
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. It has no option.
func (s *StorageStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // The name of the module.
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(0) {
		return d.Errf("store caddy has no option %s", d.Val())
	}
	return nil
}

// unmarshalStore parses the option store, whose module parses the rest.
func (c *Client) unmarshalStore(d *caddyfile.Dispenser) error {
	const hint = ", such as github.com/pismoauth/pismoauth/caddyplugin/redisstore for redis"
	return unmarshalModule(d, "pismo.stores.", hint, &c.StoreRaw)
}

// loadStore returns the store of a client, or nil if it has none.
func (c *Client) loadStore(ctx caddy.Context) (fleet.Store, error) {
	if c.StoreRaw == nil {
		return nil, nil
	}
	loading := *c // LoadModule empties StoreRaw, which the digest contains.
	module, err := ctx.LoadModule(&loading, "StoreRaw")
	if err != nil {
		return nil, &optionError{"store", err}
	}
	store, ok := module.(fleet.Store)
	if !ok {
		return nil, &optionError{"store", errors.New("the module does not implement caddyplugin.Store")}
	}
	return store, nil
}

// storeKey returns the option that has the key of a client's store, and its
// function.
func (c *Client) storeKey() (option string, key passport.SecretFunc, err error) {
	option, placeholder := "store_key", c.StoreKey
	if placeholder == "" {
		option, placeholder = "server_secret", c.ServerSecret
	}
	if key, err = secretValue(placeholder); err != nil {
		return option, nil, &optionError{option, err}
	}
	return option, key, nil
}

// checkStoreOptions returns an error for options of the store that conflict.
func (c *Client) checkStoreOptions() error {
	switch {
	case c.StoreRaw == nil && c.StoreKey != "":
		return errors.New("has store_key, but no store")
	case c.OpenID != nil && c.StoreRaw != nil && c.StoreKey == "":
		return errors.New("has openid and store: set store_key, since the private key need not be readable")
	}
	return nil
}

// minStoreKey is the length in bytes of the shortest key, see fleet.Config.
const minStoreKey = 16

// checkStoreKey returns an error if the key of a client's store cannot be used.
func (c *Client) checkStoreKey(ctx context.Context) error {
	if c.StoreRaw == nil {
		return nil
	}
	option, key, err := c.storeKey()
	if err != nil {
		return err
	}
	secret, err := key(ctx)
	if err != nil {
		return &optionError{option, err}
	}
	if len(secret.Reveal()) < minStoreKey {
		return &optionError{option, fmt.Errorf("has fewer than %d bytes, which is too short for the key of a store: set store_key", minStoreKey)}
	}
	return nil
}

// shared returns an issuer that shares the tokens of a client in its store, or
// nil if the client has no store.
func (c *sharedClient) shared(config *Client, made tokensource.Issuer) (*fleet.Issuer, error) {
	if config.StoreRaw == nil {
		return nil, nil
	}
	_, key, err := config.storeKey()
	if err != nil {
		return nil, err
	}
	fields, err := json.Marshal(config.Fields)
	if err != nil {
		return nil, &optionError{"field", err}
	}
	if config.StoreKey != "" && config.OpenID == nil {
		serverKey, err := secretValue(config.ServerKey)
		if err != nil {
			return nil, &optionError{"server_key", err}
		}
		key = keyOfBoth(key, serverKey)
	}
	return fleet.New(fleet.Config{
		Issuer: made,
		Store:  sharedStore{c},
		Key:    key,
		Scope:  string(fields),
		Hooks:  fleet.JoinHooks(c.metrics.Telemetry.FleetHooks(), c.report.FleetHooks()),
	})
}

// keyOfBoth returns a key of a store that differs if the store_key or the
// server key differs. With one store_key for several organizations, a token of
// one of them must not reach another.
func keyOfBoth(storeKey, serverKey passport.SecretFunc) passport.SecretFunc {
	return func(ctx context.Context) (tokensource.Secret, error) {
		secret, err := storeKey(ctx)
		if err != nil {
			return tokensource.Secret{}, err
		}
		organization, err := serverKey(ctx)
		if err != nil {
			return tokensource.Secret{}, err
		}
		return tokensource.NewSecret(strconv.Quote(secret.Reveal()) + strconv.Quote(organization.Reveal())), nil
	}
}

// A sharedStore is the store of the newest configuration.
type sharedStore struct{ client *sharedClient }

func (s sharedStore) current() fleet.Store {
	s.client.mu.RLock()
	defer s.client.mu.RUnlock()
	return s.client.store
}

// Claim implements [fleet.Store].
func (s sharedStore) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	return s.current().Claim(ctx, name, ask)
}

// Publish implements [fleet.Store].
func (s sharedStore) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	return s.current().Publish(ctx, name, p)
}

// Take implements [fleet.Store].
func (s sharedStore) Take(ctx context.Context, name string, burst int, refill time.Duration) (time.Duration, error) {
	return s.current().Take(ctx, name, burst, refill)
}

// A storeStatus is the state of a client's store, as the admin API returns it.
type storeStatus struct {
	// Whether the last operation of the store succeeded, and otherwise why not.
	Reachable bool   `json:"reachable"`
	LastError string `json:"last_error,omitempty"`
	// The time until which the store is not asked, because it failed several
	// times in a row.
	OpenUntil *time.Time `json:"open_until,omitempty"`
	// The number of adopted tokens, and of values that were not used.
	Adopted  uint64 `json:"adopted"`
	Poisoned uint64 `json:"poisoned"`
	// The number of operations, by their result.
	Succeeded uint64 `json:"succeeded"`
	Failed    uint64 `json:"failed"`
	Skipped   uint64 `json:"skipped"`
}

func storeStatusOf(client *clientRef) *storeStatus {
	if client.fleet == nil {
		return nil
	}
	status := client.fleet.Status()
	s := &storeStatus{
		Reachable: status.Reachable,
		OpenUntil: nilIfZero(status.OpenUntil),
		Adopted:   status.Adopted,
		Poisoned:  status.Poisoned,
		Succeeded: status.Succeeded,
		Failed:    status.Failed,
		Skipped:   status.Skipped,
	}
	if status.LastError != nil {
		s.LastError = status.LastError.Error()
	}
	return s
}

// Interface guards.
var (
	_ Store                 = (*StorageStore)(nil)
	_ caddy.Provisioner     = (*StorageStore)(nil)
	_ caddyfile.Unmarshaler = (*StorageStore)(nil)
)
