// SPDX-License-Identifier: Apache-2.0

// Package e2e has tests of Caddys with the store in Redis, each in its own
// process. main_test.go builds the binary, server_test.go runs it and a
// redis-server.
package e2e
