package transport

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// unreadRefusals remembers for which accounts a 401 that could not be read has
// led to a renewal. An endpoint whose 401s are never legible must not drive
// issuances: one renewal in a token's lifetime heals an early revocation.
//
// It is a hash table without chains: two accounts that share a slot share their
// renewals, too. The zero value is ready for use.
type unreadRefusals struct {
	slots [64]atomic.Int64 // nanoseconds since 1970
}

var accountSeed = maphash.MakeSeed()

// isFirst reports whether this is the first for account within the lifetime of a
// token.
func (u *unreadRefusals) isFirst(account tokensource.Account, lifetime time.Duration, now time.Time) bool {
	slot := &u.slots[maphash.Comparable(accountSeed, account)%uint64(len(u.slots))]
	last := slot.Load()
	return now.UnixNano()-last >= int64(lifetime) && slot.CompareAndSwap(last, now.UnixNano())
}
