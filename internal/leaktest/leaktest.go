// Package leaktest fails a run of tests that leaks goroutines.
//
// It does less than go.uber.org/goleak, and is here in its place for two
// reasons. goleak waits for about 0.4 s in all and cannot be told to wait
// longer, while a busy machine may take longer to end a connection's goroutine.
// And the root module requires only what its packages need. In the packages of
// this module goleak found no goroutine that leaktest does not find.
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
// returns the stacks of those that still run then.
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
	for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // The first stack is that of this goroutine.
		if strings.Contains(stack, "net/http") || strings.Contains(stack, "pismoauth") || strings.Contains(stack, "retryablehttp") {
			found = append(found, stack)
		}
	}
	return found
}
