// SPDX-License-Identifier: Apache-2.0

//go:build !race

package redisstore_test

const (
	fleetReplicas = 50
	fleetAccounts = 1000
	fleetCallers  = 16
)
