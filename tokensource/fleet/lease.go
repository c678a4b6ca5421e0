// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"time"
)

const (
	// leaseLength is the length of a lease. If its process dies, another one
	// issues the token after that time.
	leaseLength = 4 * time.Second
	// leaseBeat is how often an issuance prolongs its lease. So a lease is
	// not lost while the token endpoint is slow.
	leaseBeat = time.Second
)

// patienceFor returns how long an issuance waits for the result of another
// process before it asks the inner Issuer itself: three quarters of its time.
// The last quarter is for the inner Issuer.
func patienceFor(ctx context.Context) time.Duration {
	timeout := defaultTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	return timeout / 4 * 3
}

// keepLease prolongs the lease of the issuance, if it has one, until the
// returned function is called.
func (o *issuance) keepLease(ctx context.Context) (stop func()) {
	if !o.leased {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, leaseBeat) == nil {
			claim, err := o.claim(ctx, o.name, Ask{Owner: o.owner, Lease: leaseLength, Except: o.value})
			if err == nil && !claim.Leased {
				return // Another process has the lease, or has published.
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
