// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// An answer that is out of order arrives while the store is closed.
func TestStore_StaysClosed(t *testing.T) {
	s, err := New(Config{Addr: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	old := s.own.Load()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.reconnect(old)
	_, err = s.Claim(context.WithoutCancel(t.Context()), "p1:name", fleet.Ask{Owner: "a"})
	if !errors.Is(err, redis.ErrClosed) {
		t.Errorf("got error %v, want that the store is closed", err)
	}
}
