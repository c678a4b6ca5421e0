// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	gomodule "golang.org/x/mod/module"
)

// A repository is a checkout of this repository.
type repository struct {
	dir     string
	root    string // the path of the root module
	modules []*module
}

// A module is a nested module.
type module struct {
	dir  string // relative to the repository, with slashes
	file *modfile.File
}

// published reports whether users install the module. Such a module gets a tag.
func (m *module) published() bool {
	return !strings.HasPrefix(m.dir, "internal/") && !strings.HasPrefix(m.dir, "examples/")
}

// requires returns the version of the root module that m requires. It returns
// "" if m does not require the root module.
func (m *module) requires(root string) string {
	for _, r := range m.file.Require {
		if r.Mod.Path == root {
			return r.Mod.Version
		}
	}
	return ""
}

// siblings returns the modules of the repository that m requires, with their
// versions.
func (m *module) siblings(root string) []gomodule.Version {
	var siblings []gomodule.Version
	for _, r := range m.file.Require {
		if r.Mod.Path == root || strings.HasPrefix(r.Mod.Path, root+"/") {
			siblings = append(siblings, r.Mod)
		}
	}
	return siblings
}

// openRepository reads the modules of the repository that contains dir.
func openRepository(ctx context.Context, dir string) (*repository, error) {
	top, err := git(ctx, dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	r := &repository{dir: top}
	files, err := git(ctx, top, "ls-files", ":(glob)**/go.mod")
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(files) {
		file, err := readMod(filepath.Join(top, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if name == "go.mod" {
			r.root = file.Module.Mod.Path
		} else {
			r.modules = append(r.modules, &module{dir: strings.TrimSuffix(name, "/go.mod"), file: file})
		}
	}
	if r.root == "" {
		return nil, fmt.Errorf("%s has no go.mod in git", top)
	}
	return r, nil
}

func readMod(name string) (*modfile.File, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, data, nil)
}

// tags returns the tags of a release, the root module's first.
func (r *repository) tags(version string) []string {
	tags := []string{version}
	for _, m := range r.modules {
		if m.published() {
			tags = append(tags, m.dir+"/"+version)
		}
	}
	return tags
}

// git runs git in dir. It returns the output without surrounding space.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir, command.Stderr = dir, &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(string(output)), nil
}
