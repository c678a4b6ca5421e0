// SPDX-License-Identifier: Apache-2.0

//go:build race

package redisstore_test

// With the race detector, a fleet in one process needs more time for each call
// of the store than a fleet of real processes. The tests use a smaller fleet.
const (
	fleetReplicas = 10
	fleetAccounts = 200
	fleetCallers  = 2
)
