// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	rootMod   = "module example.com/root\n\ngo 1.26.0\n"
	pluginMod = "module example.com/root/plugin\n\ngo 1.26.0\n\nrequire example.com/root v0.1.0\n\nreplace example.com/root => ../\n"
	storeMod  = "module example.com/root/plugin/store\n\ngo 1.26.0\n\nrequire (\n\texample.com/root v0.1.0\n\texample.com/root/plugin v0.1.0\n)\n"
	changelog = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-11-26\n\n- The first.\n\n## [0.0.9] - 2026-01-01\n\n- Older.\n"
)

// checkout returns a repository that is ready to release v0.1.0.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	run := func(args ...string) { mustGit(t, dir, args...) }
	run("init", "-q")
	run("config", "user.name", "test")
	run("config", "user.email", "test@example.com")
	write(t, dir, "go.mod", rootMod)
	write(t, dir, "plugin/go.mod", pluginMod)
	write(t, dir, "plugin/store/go.mod", storeMod)
	write(t, dir, "internal/tools/go.mod", strings.Replace(pluginMod, "root/plugin", "root/internal/tools", 1))
	write(t, dir, "CHANGELOG.md", changelog)
	run("add", ".")
	run("commit", "-qm", "All")
	return dir
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	output, err := git(t.Context(), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *repository {
	t.Helper()
	r, err := openRepository(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheck_RefusesAnUnreadyRelease(t *testing.T) {
	for name, test := range map[string]struct {
		version string
		spoil   func(dir string)
		want    string
	}{
		"dirty tree":       {"v0.1.0", func(dir string) { write(t, dir, "new", "") }, "has changes"},
		"no version":       {"0.1.0", func(string) {}, "is not a version"},
		"short version":    {"v0.1", func(string) {}, "is not a version"},
		"version zero":     {"v0.0.0", func(string) {}, "stands for no release"},
		"pseudo-version":   {"v0.0.0-20260101000000-0123456789ab", func(string) {}, "stands for no release"},
		"mismatch":         {"v0.2.0", func(string) {}, "plugin/go.mod requires example.com/root v0.1.0"},
		"older sibling":    {"v0.2.0", func(string) {}, "plugin/store/go.mod requires example.com/root/plugin v0.1.0"},
		"no section":       {"v0.2.0", func(string) {}, "CHANGELOG.md has no section for v0.2.0"},
		"no date":          {"v0.1.0", func(dir string) { write(t, dir, "CHANGELOG.md", "## [0.1.0]\n\n- x\n") }, "no date"},
		"nothing to say":   {"v0.1.0", func(dir string) { write(t, dir, "CHANGELOG.md", "## [0.1.0] - 2026-11-26\n") }, "says nothing"},
		"root's tag taken": {"v0.1.0", func(dir string) { retag(t, dir, "v0.1.0") }, "the tag v0.1.0 is on commit"},
		"plugin's taken":   {"v0.1.0", func(dir string) { retag(t, dir, "plugin/v0.1.0") }, "the tag plugin/v0.1.0 is on commit"},
		"taken at origin":  {"v0.1.0", func(dir string) { publish(t, dir, "v0.1.0") }, "(git ls-remote)"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkout(t)
			test.spoil(dir)
			if err := open(t, dir).check(t.Context(), test.version); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("check(%q) = %v, want an error with %q", test.version, err, test.want)
			}
		})
	}
}

// retag puts a tag on the commit before the last one.
func retag(t *testing.T, dir, tag string) {
	t.Helper()
	mustGit(t, dir, "tag", "-a", "-m", "x", tag)
	mustGit(t, dir, "commit", "-q", "--allow-empty", "-m", "Later")
}

// publish is like retag, but changes origin only.
func publish(t *testing.T, dir, tag string) {
	t.Helper()
	origin := t.TempDir()
	mustGit(t, origin, "init", "-q", "--bare")
	retag(t, dir, tag)
	mustGit(t, dir, "remote", "add", "origin", origin)
	mustGit(t, dir, "push", "-q", "origin", tag)
	mustGit(t, dir, "tag", "-d", tag)
}

func TestTag_TagsEachPublishedModule(t *testing.T) {
	dir := checkout(t)
	for range 2 { // The second time changes nothing.
		var out bytes.Buffer
		if err := open(t, dir).tag(t.Context(), "v0.1.0", &out); err != nil {
			t.Fatal(err)
		}
		if want := "git push --atomic origin v0.1.0 plugin/v0.1.0 plugin/store/v0.1.0\n"; !strings.HasSuffix(out.String(), want) {
			t.Errorf("printed %q, want %q at the end", out.String(), want)
		}
	}
	if got, want := mustGit(t, dir, "tag"), "plugin/store/v0.1.0\nplugin/v0.1.0\nv0.1.0"; got != want {
		t.Errorf("tags %q, want %q", got, want)
	}
}

func TestNext_RequiresTheNextVersion(t *testing.T) {
	dir := checkout(t)
	if err := open(t, dir).next("v0.0.9"); err == nil {
		t.Error("next goes back to v0.0.9")
	}
	if err := open(t, dir).next("v0.2.0"); err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]string{"plugin/go.mod": pluginMod, "plugin/store/go.mod": storeMod} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if want := strings.ReplaceAll(before, "v0.1.0", "v0.2.0"); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestNotes_AreTheSectionOfTheVersion(t *testing.T) {
	got, err := open(t, checkout(t)).notes("v0.1.0")
	if want := "- The first.\n"; err != nil || got != want {
		t.Errorf("notes = %q, %v; want %q", got, err, want)
	}
}
