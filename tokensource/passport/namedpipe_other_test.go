// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package passport_test

import "testing"

// namedPipe returns "": there are no named pipes in folders.
func namedPipe(*testing.T) string { return "" }
