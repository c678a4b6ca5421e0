// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	// These imports make go test compile the packages of the binary before it runs
	// the tests.
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/pismoauth/pismoauth/caddyplugin/redisstore"
)

// binary is the Caddy under test.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the binary, and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "caddy")
	// Without DWARF, which the tests do not need, linking takes half the time.
	build := exec.CommandContext(context.Background(), "go", "build", "-race", "-ldflags=-w", "-o", binary, "github.com/pismoauth/pismoauth/caddyplugin/redisstore/internal/caddy")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "the server cannot be built:", err)
		return 1
	}
	return m.Run()
}
