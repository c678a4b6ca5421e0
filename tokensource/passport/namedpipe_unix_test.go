// SPDX-License-Identifier: Apache-2.0

//go:build unix

package passport_test

import (
	"path/filepath"
	"syscall"
	"testing"
)

// namedPipe returns the path of a named pipe that nobody writes to.
func namedPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
