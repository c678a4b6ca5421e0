// SPDX-License-Identifier: Apache-2.0

// Package fleettest helps to test programs and stores of package fleet. A
// [Memory] is a store in memory with faults. [Run] is the conformance suite for
// a [fleet.Store].
package fleettest
