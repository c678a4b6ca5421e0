// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// unreadRefusals records the accounts for which an unreadable 401 has led to a
// renewal. An endpoint whose 401s are never legible must not cause many
// issuances. One renewal in a token's lifetime is enough to recover from an
// early revocation.
//
// unreadRefusals is a hash table without chains. Two accounts that share a slot
// share their renewals. The zero value is ready for use.
type unreadRefusals struct {
	slots [64]atomic.Int64 // nanoseconds since 1970
}

var accountSeed = maphash.MakeSeed()

// isFirst reports whether this is the first unreadable 401 for account within
// the lifetime of a token.
func (u *unreadRefusals) isFirst(account tokensource.Account, lifetime time.Duration, now time.Time) bool {
	slot := &u.slots[maphash.Comparable(accountSeed, account)%uint64(len(u.slots))]
	last := slot.Load()
	return now.UnixNano()-last >= int64(lifetime) && slot.CompareAndSwap(last, now.UnixNano())
}
