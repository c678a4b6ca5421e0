// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

var update = flag.Bool("update", false, "write the pictures in docs/images")

// figure returns a figure from the page.
func figure(t *testing.T, f *fixture, id string) int {
	t.Helper()
	text := eval[string](t, f, `document.getElementById("`+id+`").textContent`)
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return n
}

// checkFigures compares the page with the fake server. Traffic continues
// meanwhile, so each figure must lie between the counts before and after.
func checkFigures(t *testing.T, f *fixture) {
	t.Helper()
	before := f.counts(t)
	f.await(t, `Number(document.getElementById("fake-requests").textContent.replaceAll(",", "")) >= `+strconv.Itoa(before.ResourceRequests))
	f.await(t, `document.getElementById("issued").textContent === document.getElementById("fake-issued").textContent`)
	shown := map[string]int{}
	of := map[string]func(passporttest.Counts) int{
		"fake-requests":       func(c passporttest.Counts) int { return c.ResourceRequests },
		"fake-refused":        passporttest.Counts.TotalRefused,
		"fake-token-requests": func(c passporttest.Counts) int { return c.TokenRequests },
		"fake-issued":         func(c passporttest.Counts) int { return c.Issued },
	}
	for id := range of {
		shown[id] = figure(t, f, id)
	}
	after := f.counts(t)
	for id, count := range of {
		if shown[id] < count(before) || shown[id] > count(after) {
			t.Errorf("%s is %d, the fake server counted %d before and %d after", id, shown[id], count(before), count(after))
		}
	}
}

func noComplaints(t *testing.T, f *fixture) {
	t.Helper()
	for _, complaint := range f.complaints() {
		t.Errorf("the browser says: %s", complaint)
	}
}

func TestPage_ThousandRefusedRequestsCostOneToken(t *testing.T) {
	f := start(t)
	if f == nil {
		return
	}
	before := f.counts(t)
	f.click(t, "revoke-thousand")
	f.await(t, `document.querySelector(".proof").dataset.result === "good"`)
	for id, want := range map[string]int{"burst-requests": 1000, "burst-refused": 1000, "burst-issuances": 1, "burst-failed": 0, "total-failed": 0} {
		if got := figure(t, f, id); got != want {
			t.Errorf("%s is %d, want %d", id, got, want)
		}
	}
	if got := f.counts(t).TotalRefused() - before.TotalRefused(); got != 1000 {
		t.Errorf("the fake server refused %d", got)
	}
	f.await(t, `document.getElementById("traces").textContent.includes("and 999 like it")`)
	f.click(t, "send-thousand")
	f.await(t, `document.getElementById("burst-refused").textContent === "0"`)
	if got := figure(t, f, "burst-failed"); got != 0 {
		t.Errorf("%d of a thousand requests failed", got)
	}
	checkFigures(t, f)
	noComplaints(t, f)
}

func TestPage_ButtonsWork(t *testing.T) {
	f := start(t)
	if f == nil {
		return
	}
	if len(f.lines) == 0 || !strings.HasPrefix(f.lines[0], "Starting") {
		t.Errorf("the first line does not say that the program starts: %q", f.lines)
	}
	row := func(n int) string {
		return `document.getElementById("accounts").rows[` + strconv.Itoa(n) + `].cells[2].textContent`
	}
	f.await(t, row(0)+`.startsWith("serial") && `+row(1)+`.startsWith("serial")`)
	for action, rows := range map[string][]int{"revoke-alice": {0}, "revoke-bob": {1}, "revoke-all": {0, 1}} {
		var changed []string
		for _, n := range rows {
			changed = append(changed, row(n)+` !== "`+eval[string](t, f, row(n))+`"`)
		}
		f.click(t, action)
		f.await(t, strings.Join(changed, " && "))
		checkFigures(t, f)
	}
	f.await(t, `document.getElementById("issuances").textContent.includes("the old token was refused")`)
	f.click(t, "rotate")
	f.await(t, `document.getElementById("rotations").textContent === "1"`)
	f.click(t, "revoke-all")
	f.await(t, `document.getElementById("total-failed").textContent === "0"`)
	for _, test := range []struct{ action, state string }{{"slow", "slow"}, {"fail", "failing"}, {"fail", "healthy"}, {"slow", "slow"}, {"slow", "healthy"}} {
		f.click(t, test.action)
		f.await(t, `document.getElementById("passport").textContent === "Passport: `+test.state+`"`)
		pressed := strconv.FormatBool(test.state != "healthy")
		f.await(t, `document.querySelector('button[data-action="`+test.action+`"]').getAttribute("aria-pressed") === "`+pressed+`"`)
	}
	checkFigures(t, f)
	noComplaints(t, f)
	f.stop(t, syscall.SIGTERM)
}

// focused returns the action of the focused button, or a name of the focused
// element.
const focused = `document.activeElement.dataset.action || document.activeElement.className || document.activeElement.tagName`

func TestPage_WorksByKeyboard(t *testing.T) {
	f := start(t)
	if f == nil {
		return
	}
	want := []string{"skip", "revoke-thousand", "revoke-alice", "revoke-bob", "revoke-all", "slow", "fail", "rotate", "send-thousand"}
	var got []string
	for range want {
		f.run(t, chromedp.KeyEvent(kb.Tab))
		got = append(got, eval[string](t, f, focused))
		if got[len(got)-1] == "slow" {
			f.run(t, chromedp.KeyEvent(" "))
			f.await(t, `document.activeElement.getAttribute("aria-pressed") === "true"`)
			f.idle(t)
			f.run(t, chromedp.KeyEvent(" "))
			f.await(t, `document.activeElement.getAttribute("aria-pressed") === "false"`)
			f.idle(t)
		}
		if outline := eval[string](t, f, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
			t.Errorf("%s: the focus is not visible: outline %s", got[len(got)-1], outline)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Tab reaches %q, want %q", got, want)
	}
	f.run(t, chromedp.KeyEvent(kb.Enter))
	f.await(t, `document.getElementById("burst-requests").textContent === "1,000"`)
	f.idle(t)
	if now := eval[string](t, f, focused); now != "send-thousand" {
		t.Errorf("the focus moved to %s", now)
	}
	noComplaints(t, f)
	f.stop(t, syscall.SIGINT)
}

func TestPage_TellsScreenReaders(t *testing.T) {
	f := start(t)
	if f == nil {
		return
	}
	f.click(t, "revoke-thousand")
	f.await(t, `document.querySelector('[aria-live="polite"]').textContent.includes("tokens issued: 1;")`)
	var nodes []*accessibility.Node
	f.run(t, chromedp.ActionFunc(func(ctx context.Context) error {
		var err error
		nodes, err = accessibility.GetFullAXTree().Do(ctx)
		return err
	}))
	found := map[string]int{}
	for _, node := range nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		found[role]++
		needsName := slices.Contains([]string{"button", "image", "img", "progressbar", "link", "region", "group", "heading", "RootWebArea"}, role)
		if needsName && (node.Name == nil || len(node.Name.Value) <= len(`""`)) {
			t.Errorf("a %s has no name", role)
		}
	}
	if found["button"] != 8 || found["status"] != 1 || found["progressbar"] != 2 || found["main"] != 1 || found["region"] < 6 {
		t.Errorf("got the roles %v, want 8 buttons, 1 status, 2 progress bars, 1 main and 6 regions or more", found)
	}
	noComplaints(t, f)
}

func TestPage_LooksRightInLightAndDark(t *testing.T) {
	f := start(t)
	if f == nil {
		return
	}
	f.click(t, "revoke-thousand")
	f.await(t, `document.querySelector(".proof").dataset.result === "good"`)
	f.await(t, `document.getElementById("chart").childElementCount > 3 && document.getElementById("traces").childElementCount > 1`)
	f.run(t, emulation.SetDeviceMetricsOverride(1280, 1360, 1, false))
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		f.run(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"},
		}))
		backgrounds[eval[string](t, f, `getComputedStyle(document.body).backgroundColor`)] = true
		if motion := eval[string](t, f, `getComputedStyle(document.querySelector("button")).transitionDuration`); motion != "0s" {
			t.Errorf("with reduced motion a button takes %s", motion)
		}
		var picture []byte
		f.run(t, chromedp.CaptureScreenshot(&picture))
		picture = compress(t, picture)
		if len(picture) == 0 || len(picture) > maxImage {
			t.Errorf("%s: the picture has %d bytes, want at most %d", scheme, len(picture), maxImage)
		}
		if *update && !t.Failed() {
			if err := os.WriteFile(filepath.Join("..", "..", "..", "docs", "images", "proxy-"+scheme+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(backgrounds) != 2 {
		t.Errorf("light and dark have the same background: %v", backgrounds)
	}
	f.run(t, emulation.SetDeviceMetricsOverride(360, 800, 1, true))
	if wide := eval[int](t, f, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("on a narrow screen the page is %d pixels wide", wide)
	}
	noComplaints(t, f)
}

// The tests above rely on the complaints of the browser.
func TestFixture_HearsViolationsAndErrors(t *testing.T) {
	f := start(t)
	if f == nil {
		return
	}
	for what, expression := range map[string]string{
		"Content Security Policy": `{ const s = document.createElement("style"); s.textContent = "p { color: red }"; document.head.append(s); }`,
		"404":                     `fetch("/page/none"); 0`,
		"console.error":           `console.error("x")`,
	} {
		f.run(t, chromedp.Evaluate(expression, nil))
		if !f.hears(what) {
			t.Errorf("%s causes no complaint: %q", what, f.complaints())
		}
	}
}
