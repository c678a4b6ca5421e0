// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the binary of cmd/caddy in its own process, with Caddyfiles
// as its configuration. The clients and the fakes of the platform are in the
// process of the test. The binary is built once per run, with the race
// detector. A race in the binary fails the test.
//
// All connections are on loopback. Each server has its own directories, and
// reads and writes no other configuration.
package e2e
