// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A fence is a code block on a page.
type fence struct{ language, text string }

// fences returns the code blocks of a page.
func fences(t *testing.T, page, text string) (all []fence) {
	t.Helper()
	var open *fence
	for line := range strings.Lines(text) {
		mark, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &fence{language: mark}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		t.Errorf("%s: a block of %s has no end", page, open.language)
	}
	return all
}

// A code block that a reader copies must work.
func TestDocs_BlocksAreChecked(t *testing.T) {
	for page, text := range pages(t) {
		for _, block := range fences(t, page, text) {
			for _, fault := range blockFaults(t, block) {
				t.Errorf("%s: %s", page, fault)
			}
		}
	}
}

func TestDocs_InlineCommandsExist(t *testing.T) {
	inline := regexp.MustCompile("`((?:go|make|\\.ci/run|caddyplugin/xcaddy\\.sh|xcaddy|\\(cd) ?[^`\n]*|\\.ci/run)`")
	total := 0
	for page, text := range pages(t) {
		for _, found := range inline.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(found[1], "go.") || found[1] == "go" || found[1] == "xcaddy" {
				continue
			}
			total++
			for _, fault := range commandFaults(t, found[1]) {
				t.Errorf("%s: %s", page, fault)
			}
		}
	}
	if total < 15 {
		t.Errorf("found %d commands, want 15 or more", total)
	}
}

func TestDocs_FaultsOfBlocksAreFound(t *testing.T) {
	for _, block := range []fence{
		{"", "x"},
		{"python", "x"},
		{"json", "{"},
		{"mermaid", "drawing"},
		{"console", "$ caddy pismo look"},
		{"console", "$ caddy pismo inspect\nsurname  x"},
		{"dockerfile", "FROM caddy:2.0.0"},
		{"dockerfile", "FORM x"},
		{"sh", "rm -rf /"},
		{"sh", "make nothing"},
		{"sh", ".ci/run nothing"},
		{"sh", "go run ./examples/nothing"},
		{"sh", "go run -C examples/nothing ."},
		{"sh", "go run ./examples/proxy -nothing"},
		{"sh", "go run -C internal/tools ./release nothing v0.1.0"},
		{"sh", "go test ./telemetry -nothing"},
		{"sh", "go test -run '^$' -fuzz '^FuzzNothing$' ./tokensource/passport"},
		{"sh", "go get github.com/pismoauth/pismoauth/nothing@latest"},
		{"sh", "go get github.com/another/module@latest"},
		{"sh", "xcaddy build v2.0.0 --with github.com/pismoauth/pismoauth/caddyplugin@latest"},
		{"sh", "xcaddy build v2.11.9 --with github.com/pismoauth/pismoauth/nothing@latest"},
		{"sh", "git status && ./caddy run --config examples/nothing"},
	} {
		if faults := blockFaults(t, block); len(faults) != 1 {
			t.Errorf("%q: got %q, want one fault", block, faults)
		}
	}
}

// blockFaults returns the faults of a block. An unknown language is a fault:
// add a check for it here. Blocks of Go are compared with tested code in
// examples/integrations. Caddyfiles are adapted in caddyplugin/e2e. Text is for
// drawings.
func blockFaults(t *testing.T, block fence) (faults []string) {
	t.Helper()
	switch block.language {
	case "go", "caddyfile", "text":
	case "sh":
		for line := range strings.Lines(block.text) {
			faults = append(faults, commandFaults(t, line)...)
		}
	case "console":
		return consoleFaults(t, block.text)
	case "dockerfile":
		return dockerfileFaults(t, block.text)
	case "json":
		if !json.Valid([]byte(block.text)) {
			return []string{"this is not JSON: " + block.text}
		}
	case "mermaid":
		kind, _, _ := strings.Cut(strings.TrimSpace(block.text), "\n")
		if !slices.Contains([]string{"graph TD", "sequenceDiagram", "stateDiagram-v2"}, kind) {
			return []string{"there is no such diagram: " + kind}
		}
	default:
		return []string{"no test checks a block of the language " + block.language + ": " + block.text}
	}
	return faults
}

// consoleFaults checks the output of caddy pismo inspect. The pages show the
// output of no other command.
func consoleFaults(t *testing.T, text string) (faults []string) {
	t.Helper()
	source := sources(t, "caddyplugin/inspect")
	for line := range strings.Lines(text) {
		label := strings.Fields(line)[0]
		if label == "$" {
			if !strings.HasSuffix(strings.TrimSpace(line), "caddy pismo inspect") {
				faults = append(faults, "no test checks "+line)
			}
		} else if label != "…" && !strings.Contains(source, `"`+label) {
			faults = append(faults, "caddy pismo inspect does not print "+label)
		}
	}
	return faults
}

// caddyVersion returns the version of Caddy that the plugin requires.
func caddyVersion(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`github.com/caddyserver/caddy/v2 v(\S+)`).FindStringSubmatch(readFile(t, "caddyplugin/go.mod"))
	if found == nil {
		t.Fatal("caddyplugin/go.mod does not require Caddy")
	}
	return found[1]
}

func dockerfileFaults(t *testing.T, text string) (faults []string) {
	t.Helper()
	version := caddyVersion(t)
	for line := range strings.Lines(text) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "FROM":
			if tag, ok := strings.CutPrefix(rest, "caddy:"); ok && !strings.HasPrefix(tag, version) {
				faults = append(faults, "the plugin is built with Caddy "+version+", not "+tag)
			}
		case "RUN":
			faults = append(faults, commandFaults(t, rest)...)
		case "COPY":
		default:
			faults = append(faults, "there is no instruction "+instruction)
		}
	}
	return faults
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources returns the Go files of a folder as one text. The text is empty if
// the folder does not exist.
func sources(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(path.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		all.WriteString(readFile(t, filepath.ToSlash(name)))
	}
	return all.String()
}
