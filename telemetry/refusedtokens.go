// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"sync/atomic"

	"github.com/pismoauth/pismoauth/internal/recurring"
)

// refusedTokens are the last refused tokens that have a line in the log. The
// zero value has none. Its methods may be called concurrently.
type refusedTokens struct {
	serials [1024]atomic.Uint64
	event   recurring.Event // of any token
}

// add adds the serial of a token. It returns false if the token has a line
// already.
func (r *refusedTokens) add(serial uint64) bool {
	return r.serials[serial%uint64(len(r.serials))].Swap(serial) != serial
}
