// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"time"
)

// A Store keeps small values for all processes of a fleet. It sees opaque
// names and sealed values only. Its own clock decides how long a value and a
// lease live. Each method must be atomic, safe for concurrent use, and must
// return when ctx is done. Package fleettest has a conformance suite.
//
// A Store must not send a request again by itself: the Issuer decides what
// follows a failure. Logs show the text of a Store's error only if
// [tokensource.SafeError] made it.
type Store interface {
	// Claim returns the living value under name. If there is none, or if the
	// value equals ask.Except byte for byte, it takes the lease on name for
	// ask.Owner, unless another owner holds it. An owner that claims again
	// keeps its lease, with the new length. With a Lease of 0 or less, Claim
	// takes no lease.
	Claim(ctx context.Context, name string, ask Ask) (Claim, error)

	// Publish stores a value and ends the lease of its owner. It stores the
	// value if the owner holds the lease, or if there is no living value, or
	// if the living value equals p.Replaces byte for byte. Otherwise it
	// leaves the value that is there, and reports false. A lease of another
	// owner stays. An empty p.Value only ends the owner's lease.
	Publish(ctx context.Context, name string, p Publication) (stored bool, err error)

	// Take takes one from the budget under name. A budget begins with burst,
	// and regains one with each refill, up to burst. If it is empty, Take
	// takes nothing, and returns the time until it regains one.
	Take(ctx context.Context, name string, burst int, refill time.Duration) (wait time.Duration, err error)
}

// An Ask is the question of [Store.Claim].
type Ask struct {
	// Owner names the issuance that asks. It is unique and never empty.
	Owner string
	// Lease is the length of the lease. 0 takes none.
	Lease time.Duration
	// Except is a value that counts as none, because the owner has read it
	// and cannot use it.
	Except []byte
}

// A Claim is the answer of [Store.Claim]: a value, a lease, or neither because
// another owner holds the lease.
type Claim struct {
	// Value is the living value, or nil.
	Value []byte
	// Left is the time that the value lives, by the clock of the Store.
	Left time.Duration
	// Leased means that the owner of the claim holds the lease.
	Leased bool
}

// A Publication is what [Store.Publish] stores.
type Publication struct {
	// Owner is the owner of the claim.
	Owner string
	// Replaces is a value that the owner has read, or nil.
	Replaces []byte
	// Value is the new value. If it is empty, the old value stays.
	Value []byte
	// TTL is how long the value lives.
	TTL time.Duration
}
