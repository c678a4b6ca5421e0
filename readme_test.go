// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// pages returns the pages of the documentation by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(name)] = string(text)
		}
	}
	return texts
}

// testLink matches a link to a test: [test](file_test.go "TestName").
var testLink = regexp.MustCompile(`\[test\]\(([^ )]+) "(Test\w+)"\)`)

// A promise without a link to a test is not checked.
func TestDocs_LinkExistingTests(t *testing.T) {
	total := 0
	for page, text := range pages(t) {
		links := testLink.FindAllStringSubmatch(text, -1)
		if want := strings.Count(text, "[test]"); len(links) != want {
			t.Errorf("%s: %d links to tests can be read, of %d", page, len(links), want)
		}
		total += len(links)
		for _, l := range links {
			source, err := os.ReadFile(filepath.Join(filepath.Dir(page), l[1]))
			if err != nil {
				t.Errorf("%s: %s: %v", page, l[2], err)
			} else if !strings.Contains(string(source), "func "+l[2]+"(t *testing.T)") {
				t.Errorf("%s: %s is not in %s", page, l[2], l[1])
			}
		}
	}
	if total < 80 {
		t.Errorf("the pages have %d links to tests", total)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	code    = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	named   = regexp.MustCompile(`<a name="([^"]+)">`)
)

// anchors returns the fragments of a page, as GitHub makes them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(code.ReplaceAllStringFunc(text, func(c string) string { return strings.Trim(c, "`") }), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
				return r
			}
			return -1
		}, strings.ToLower(h[1]))
		all[kept] = true
	}
	for _, n := range named.FindAllStringSubmatch(text, -1) {
		all[n[1]] = true
	}
	return all
}

func TestDocs_RelativeLinksResolve(t *testing.T) {
	texts := pages(t)
	for page, text := range texts {
		for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			path, fragment, _ := strings.Cut(l[1], "#")
			target := page
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, l[1])
			}
			if fragment != "" && strings.HasSuffix(target, ".md") && !anchors(texts[target])[fragment] {
				t.Errorf("%s links to %s, which is not a heading", page, l[1])
			}
		}
	}
}

// A page begins with its readers, so that a reader sees whether the page is for
// them.
func TestDocs_NameTheirReaders(t *testing.T) {
	for page, text := range pages(t) {
		if !strings.HasPrefix(page, "docs/") {
			continue
		}
		_, body, _ := strings.Cut(text, "\n\n")
		if !strings.HasPrefix(body, "For ") {
			t.Errorf("%s does not begin by naming its readers", page)
		}
		if !strings.Contains(pages(t)["README.md"], "("+page+")") {
			t.Errorf("the README does not link to %s", page)
		}
	}
}

func TestREADME_IsShort(t *testing.T) {
	if lines := strings.Count(pages(t)["README.md"], "\n"); lines > 150 {
		t.Errorf("the README has %d lines, more than 150", lines)
	}
}

// The test compiles the program of the README and runs it in its own module. It
// changes only the platform's address.
func TestREADME_ProgramRuns(t *testing.T) {
	_, rest, _ := strings.Cut(pages(t)["README.md"], "```go\npackage main\n")
	program, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no program")
	}
	pismo := passporttest.NewServer(t, passporttest.Config{})
	program = "package main\n" + strings.NewReplacer("https://sandbox.pismolabs.io", pismo.URL(), "sandbox.pismolabs.io", pismo.Host()).Replace(program)
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	const path = "module github.com/pismoauth/pismoauth\n"
	text := strings.Replace(string(mod), path, "module example.com/program\n", 1) +
		"\nrequire github.com/pismoauth/pismoauth v0.1.0\n\nreplace github.com/pismoauth/pismoauth => " + root + "\n"
	dir := t.TempDir()
	for name, content := range map[string]string{"main.go": program, "go.mod": text, "go.sum": string(sum)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "run", "-mod=mod", ".")
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=", "PISMO_SERVER_KEY="+pismo.ServerKey(), "PISMO_SERVER_SECRET="+pismo.ServerSecret())
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "102681871") {
		t.Errorf("the program: %v: %s", err, output)
	}
	if counts := pismo.Counts(); counts.Issued != 1 || counts.Accepted != 1 {
		t.Errorf("%d tokens were issued, and %d requests served; want one of each", counts.Issued, counts.Accepted)
	}
}
