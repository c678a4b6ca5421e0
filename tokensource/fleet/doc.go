// SPDX-License-Identifier: Apache-2.0

// Package fleet shares tokens between the processes of a fleet, so that the
// fleet issues each token once.
//
// An [Issuer] wraps another issuer, and is the issuer of a
// [tokensource.Source]. Before it issues a token, it claims the token's name
// in a [Store]. It gets a token that another process has issued, or a lease to
// issue the token, or it waits for the process that has the lease.
//
// The Store is optional at every moment. Each call has 250 ms. After five
// failures in a row the Issuer works without the Store for 1 s, doubling to
// 30 s. Correctness never depends on a lease: a lease only saves work.
//
// The Store learns neither a token nor an account nor a key: names are keyed
// hashes, values are sealed with AES-256-GCM. A value is not used if it was not
// sealed under its own name with the same key, or if it lives longer than it
// was sealed for. Someone who may write to the Store can delete values, bring
// back an older token of the same account, hold leases, empty the budget, and
// bring back an older failure. The first two cost an issuance. The others keep
// the fleet from issuing tokens for as long as they go on.
//
// Failures of the endpoint are shared too, and so is the budget for renewals
// of refused tokens. The clocks of the processes need not agree: the clock of
// the Store decides how long a token lives.
//
// Read store.go first, then issuance.go.
package fleet
