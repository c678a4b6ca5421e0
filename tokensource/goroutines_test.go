// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// TestMain runs the tests, and then looks for leaked goroutines. Goroutines in
// bubbles cannot leak: see bubble.
func TestMain(m *testing.M) {
	m.Run()
	var left []string
	for range 10_000 {
		if left = ours(""); len(left) == 0 {
			return
		}
		runtime.Gosched()
	}
	panic("goroutines are left behind:\n\n" + strings.Join(left, "\n\n"))
}

// ours returns the stacks of the goroutines that run code of this package,
// except for those of the tests.
func ours(word string) []string {
	buffer := make([]byte, 1<<20)
	var stacks []string
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if strings.Contains(stack, "pismoauth/tokensource") && strings.Contains(stack, word) &&
			!strings.Contains(stack, "tokensource_test.TestMain") && !strings.Contains(stack, "testing.tRunner(") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// inBubble appears in the stacks of a bubble's goroutines. Only one bubble
// exists at a time. A goroutine that an earlier test leaked is outside the
// current bubble.
const inBubble = "synctest bubble"

func TestSource_GoroutinesEndWithTheIssuance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeIssuer{latency: time.Hour} // The issuer hangs until its context is done.
		src := newSource(t, d)
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, err := src.Token(ctx, acct(t, 1+i))
			wantKind(t, err, tokensource.ErrTimeout)
		}
		if len(ours(inBubble)) == 0 {
			t.Fatal("no goroutine runs: the test proves nothing")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if left := ours(inBubble); len(left) > 0 {
			t.Errorf("%d goroutines are left, as\n%s", len(left), left[0])
		}
	})
}

func TestSource_AtRestHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(t, &fakeIssuer{})
		token(t, src, acct(t, 1))
		synctest.Wait()
		if left := ours(inBubble); len(left) > 0 {
			t.Errorf("%d goroutines are left, as\n%s", len(left), left[0])
		}
	})
}
