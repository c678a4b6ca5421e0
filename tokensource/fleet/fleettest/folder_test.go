// SPDX-License-Identifier: Apache-2.0

package fleettest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

// A folder is a Store in files. It shares no code with a Memory or with Redis,
// and shows that other Stores can keep the contract.
type folder struct {
	dir string
	mu  sync.Mutex // stands for a lock on the folder
}

// A file is the content that the folder keeps under a name.
type file struct {
	Value         []byte
	Until, Leased time.Time
	Owner         string
	Taken         []time.Time
}

// update reads a file, changes it, and writes it.
func (f *folder) update(ctx context.Context, name string, change func(*file, time.Time)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(f.dir, hex.EncodeToString(sum[:]))
	var content file
	if text, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(text, &content); err != nil {
			return err
		}
	}
	now := time.Now()
	if !now.Before(content.Until) {
		content.Value = nil
	}
	if !now.Before(content.Leased) {
		content.Owner = ""
	}
	change(&content, now)
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (f *folder) Claim(ctx context.Context, name string, ask fleet.Ask) (claim fleet.Claim, err error) {
	err = f.update(ctx, name, func(c *file, now time.Time) {
		switch {
		case c.Value != nil && !bytes.Equal(c.Value, ask.Except):
			claim = fleet.Claim{Value: c.Value, Left: c.Until.Sub(now)}
		case ask.Lease > 0 && (c.Owner == "" || c.Owner == ask.Owner):
			c.Owner, c.Leased = ask.Owner, now.Add(ask.Lease)
			claim.Leased = true
		}
	})
	return claim, err
}

func (f *folder) Publish(ctx context.Context, name string, p fleet.Publication) (stored bool, err error) {
	err = f.update(ctx, name, func(c *file, now time.Time) {
		mine := c.Owner == p.Owner
		if stored = len(p.Value) > 0 && (mine || c.Value == nil || bytes.Equal(c.Value, p.Replaces)); stored {
			c.Value, c.Until = p.Value, now.Add(p.TTL)
		}
		if mine {
			c.Owner = ""
		}
	})
	return stored, err
}

// Take keeps the times at which the budget gets its units back.
func (f *folder) Take(ctx context.Context, name string, burst int, refill time.Duration) (wait time.Duration, err error) {
	err = f.update(ctx, name, func(c *file, now time.Time) {
		for len(c.Taken) > 0 && !now.Before(c.Taken[0]) {
			c.Taken = c.Taken[1:]
		}
		if len(c.Taken) >= burst {
			wait = c.Taken[0].Sub(now)
			return
		}
		last := now
		if n := len(c.Taken); n > 0 {
			last = c.Taken[n-1]
		}
		c.Taken = append(c.Taken, last.Add(refill))
	})
	return wait, err
}

func TestRun_AcceptsAnIndependentStore(t *testing.T) {
	fleettest.Run(t, func(t *testing.T) fleet.Store { return &folder{dir: t.TempDir()} })
}
