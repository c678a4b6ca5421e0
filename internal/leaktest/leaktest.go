// SPDX-License-Identifier: Apache-2.0

// Package leaktest fails a run of tests that leaks goroutines.
//
// It does less than go.uber.org/goleak. There are two reasons for it. First,
// goleak waits for about 0.4 s and this time cannot be raised, but on a busy
// machine the goroutine of a connection may need longer to end. Second, the
// root module requires only the modules that its packages need. In the packages
// of this module, goleak found no goroutine that leaktest misses.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests, and returns the exit code. The code is not 0 if a
// goroutine of this module, of net/http or of go-retryablehttp still runs five
// seconds after the tests.
//
//	func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	left := waitForGoroutines()
	if len(left) == 0 {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "leaktest: goroutines still run after the tests:\n\n"+strings.Join(left, "\n\n"))
	return 1
}

// waitForGoroutines waits up to five seconds until no goroutine leaks. It
// returns the stacks of the goroutines that still run.
func waitForGoroutines() (left []string) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if left = leakedStacks(); len(left) == 0 {
			break
		}
	}
	return left
}

func leakedStacks() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // The first stack belongs to this goroutine.
		if strings.Contains(stack, "net/http") || strings.Contains(stack, "pismoauth") || strings.Contains(stack, "retryablehttp") {
			found = append(found, stack)
		}
	}
	return found
}
