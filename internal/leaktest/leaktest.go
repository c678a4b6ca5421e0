// Package leaktest fails a run of tests that leaves goroutines behind.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests, and returns the code to exit with. It is not 0 if
// anything of ours, or of net/http, still runs when all tests have ended and
// closed what they opened.
//
//	func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	left := leftRunning()
	if len(left) == 0 {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "goroutines left running after the tests:\n\n"+strings.Join(left, "\n\n"))
	return 1
}

// leftRunning returns the stacks of goroutines that should have ended. Those
// that are about to get a moment for it.
func leftRunning() (left []string) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if left = suspects(); len(left) == 0 {
			break
		}
	}
	return left
}

func suspects() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // The first is our own.
		if strings.Contains(stack, "net/http") || strings.Contains(stack, "pismoauth") || strings.Contains(stack, "retryablehttp") {
			found = append(found, stack)
		}
	}
	return found
}
