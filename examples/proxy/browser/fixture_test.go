// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// limit bounds each test, including the build and the start of the program and
// a browser.
const limit = 3 * time.Minute

// A fixture is the running program, and a browser that shows its page.
type fixture struct {
	ctx context.Context // of the browser's tab
	url string          // of the page, with a slash at the end

	program *exec.Cmd
	lines   []string // that the program printed up to the URL

	mu       sync.Mutex
	problems []string      // messages of the console
	heard    chan struct{} // buffered; receives after a message of the console
}

// start returns nil if there is no Chromium.
func start(t *testing.T) *fixture {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Log("LEFT OUT: the test of the example's page in a browser. There is no chromium.")
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	f := &fixture{heard: make(chan struct{}, 1)}
	f.startProgram(ctx, t)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(browser),
		chromedp.NoSandbox, // Root has no sandbox. The browser visits only this program.
		chromedp.WindowSize(1280, 1000),
		chromedp.Env("HOME="+t.TempDir()),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	tab, cancelTab := chromedp.NewContext(allocator)
	t.Cleanup(cancelTab)
	f.ctx = tab
	chromedp.ListenTarget(tab, f.listen)
	f.run(t, chromedp.Navigate(f.url), chromedp.Poll(`document.getElementById("connection").textContent === "live"`, nil))
	return f
}

// startProgram builds the example from this checkout and starts it.
func (f *fixture) startProgram(ctx context.Context, t *testing.T) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "proxy")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./examples/proxy")
	build.Dir = filepath.Join("..", "..", "..")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the program does not build: %v: %s", err, out)
	}
	f.program = exec.CommandContext(ctx, binary, "-addr", "127.0.0.1:0")
	f.program.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PISMO_") })
	stdout, err := f.program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.program.Process.Kill()
		_ = f.program.Wait()
	})
	for out := bufio.NewScanner(stdout); f.url == "" && out.Scan(); {
		f.lines = append(f.lines, out.Text())
		if _, url, ok := strings.Cut(out.Text(), "Watch it at "); ok {
			f.url = url
		}
	}
	if f.url == "" {
		t.Fatalf("the program printed no URL: %q", f.lines)
	}
}

// listen keeps the complaints of the browser: errors and warnings of the
// console, exceptions, error answers, and violations of the policy.
func (f *fixture) listen(event any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		f.problems = append(f.problems, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		f.problems = append(f.problems, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		f.problems = append(f.problems, "console."+string(e.Type))
	}
	select {
	case f.heard <- struct{}{}:
	default:
	}
}

// complaints returns the browser's complaints so far.
func (f *fixture) complaints() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.problems)
}

// hears waits for a complaint of the browser.
func (f *fixture) hears(what string) bool {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		for _, complaint := range f.complaints() {
			if strings.Contains(complaint, what) {
				return true
			}
		}
		select {
		case <-f.heard:
		case <-time.After(time.Second):
		}
	}
	return false
}

func (f *fixture) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(f.ctx, actions...); err != nil {
		t.Fatalf("%v; the browser says %q", err, f.complaints())
	}
}

// eval returns the value of an expression in the page.
func eval[T any](t *testing.T, f *fixture, expression string) T {
	t.Helper()
	var value T
	f.run(t, chromedp.Evaluate(expression, &value))
	return value
}

// await waits until an expression in the page is true.
func (f *fixture) await(t *testing.T, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, 40*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(expression, nil)); err != nil {
		t.Fatalf("%s does not become true: %v; the page says %q", expression, err, eval[string](t, f, `document.body.innerText`))
	}
}

// idle waits until no button is busy.
func (f *fixture) idle(t *testing.T) {
	t.Helper()
	f.await(t, `document.querySelectorAll('button[aria-disabled="true"]').length === 0`)
}

// click presses a button with the mouse, and waits until its action is done.
func (f *fixture) click(t *testing.T, action string) {
	t.Helper()
	f.run(t, chromedp.Click(`button[data-action="`+action+`"]`, chromedp.ByQuery))
	f.idle(t)
}

// counts returns the counts of the fake server.
func (f *fixture) counts(t *testing.T) passporttest.Counts {
	t.Helper()
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, f.url+"page/counts", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var counts passporttest.Counts
	if err := json.NewDecoder(resp.Body).Decode(&counts); err != nil {
		t.Fatal(err)
	}
	return counts
}

// stop ends the program like Ctrl-C or a supervisor.
func (f *fixture) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := f.program.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := f.program.Wait(); err != nil {
		t.Errorf("after the signal %v the program ends with %v, want no error", signal, err)
	}
}
