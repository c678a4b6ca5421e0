package middleware_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the run if anything of ours, or of net/http, still runs when
// all tests have ended and closed what they opened.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leftRunning(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left running after the tests:\n\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leftRunning returns the stacks of goroutines that should have ended. Those
// that are about to get a moment for it.
func leftRunning() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if left = suspects(); len(left) == 0 {
			return ""
		}
	}
	return strings.Join(left, "\n\n")
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
