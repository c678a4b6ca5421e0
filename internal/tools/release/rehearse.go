// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// errOffline means that modules cannot be downloaded.
var errOffline = errors.New("no module proxy can be reached")

// offline matches the errors of a go command that cannot reach a module proxy.
var offline = regexp.MustCompile(`dial tcp|no such host|connection refused|i/o timeout|module lookup disabled`)

//go:embed consumer.go.txt
var consumer string

// caddyPath is the module path of Caddy. The plugin's go.mod has its version.
const caddyPath = "github.com/caddyserver/caddy/v2"

// A rehearsal is a directory with its own module proxy and module cache. An
// unpublished version stays inside the directory.
type rehearsal struct {
	*repository
	version string
	scratch string
	env     []string
	out     io.Writer
}

// rehearse uses the modules of the current commit as if they were published
// with the version. A new program requires the root module, and xcaddy builds a
// Caddy with the plugin. Without a version, rehearse uses the version that the
// nested modules require.
func (r *repository) rehearse(ctx context.Context, version string, out io.Writer) (err error) {
	if version == "" {
		for _, m := range r.modules {
			if m.published() {
				version = m.requires(r.root)
			}
		}
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	if err := errors.Join(append(r.checkModules(version), r.checkTags(ctx, version)...)...); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	h := &rehearsal{repository: r, version: version, scratch: scratch, out: out}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.prepare(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "A new program requires the root module:")
	if err := h.consume(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "xcaddy builds a Caddy with the plugin:")
	return h.caddy(ctx)
}

// close removes the directory. A module cache is read-only.
func (h *rehearsal) close() error {
	return errors.Join(
		h.run(context.WithoutCancel(context.Background()), h.scratch, "go", "clean", "-modcache"),
		os.RemoveAll(h.scratch))
}

// prepare fills the module proxy. Other modules come from the ordinary proxies
// and from the ordinary module cache, which stays unchanged.
func (h *rehearsal) prepare(ctx context.Context) error {
	values, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return err
	}
	lines := strings.SplitN(string(values), "\n", 3)
	proxies := []string{
		"file://" + filepath.ToSlash(filepath.Join(h.scratch, "proxy")),
		"file://" + filepath.ToSlash(filepath.Join(lines[0], "cache", "download")),
		lines[1],
	}
	h.env = append(os.Environ(),
		"GOWORK=off", "GOFLAGS=-mod=mod",
		"GOMODCACHE="+filepath.Join(h.scratch, "cache"),
		"GOPROXY="+strings.Join(proxies, ","),
		"GONOPROXY=", "GOPRIVATE=", "GONOSUMDB=", "GOSUMDB=off")
	// The library that makes the zips works with a clone, not with a worktree.
	if _, err := git(ctx, h.dir, "clone", "--quiet", "--no-checkout", h.dir, filepath.Join(h.scratch, "clone")); err != nil {
		return err
	}
	if err := h.publish(ctx, h.root, ""); err != nil {
		return err
	}
	for _, m := range h.modules {
		if m.published() {
			if err := h.publish(ctx, path.Join(h.root, m.dir), m.dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// consume compiles the program of the README in its own module. It runs the
// program against a fake server.
func (h *rehearsal) consume(ctx context.Context) error {
	readme, err := os.ReadFile(filepath.Join(h.dir, "README.md"))
	if err != nil {
		return err
	}
	program, err := readmeProgram(string(readme))
	if err != nil {
		return err
	}
	dir := filepath.Join(h.scratch, "consumer")
	if err := os.MkdirAll(filepath.Join(dir, "readme"), 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"main.go": consumer, "readme/main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return h.all(ctx, dir, [][]string{
		{"go", "mod", "init", "example.com/consumer"},
		{"go", "get", h.root + "/transport@" + h.version},
		{"go", "mod", "tidy"},
		{"go", "build", "-o", "consumer", "."},
		{"go", "build", "-o", "program", "./readme"},
		{filepath.Join(dir, "consumer"), "program", filepath.Join(dir, "program")},
	})
}

// caddy builds a Caddy as its users do, with every module that has plugins, and
// sends it a request.
func (h *rehearsal) caddy(ctx context.Context) error {
	caddyVersion := ""
	var plugins []string
	for _, m := range h.modules {
		if required := m.requires(caddyPath); m.published() && required != "" {
			caddyVersion = required
			plugins = append(plugins, "--with", path.Join(h.root, m.dir)+"@"+h.version)
		}
	}
	if caddyVersion == "" {
		return fmt.Errorf("no published module requires %s", caddyPath)
	}
	binary := filepath.Join(h.scratch, "caddy")
	return h.all(ctx, h.scratch, [][]string{
		append([]string{"xcaddy", "build", caddyVersion, "--output", binary}, plugins...),
		{filepath.Join(h.scratch, "consumer", "consumer"), "caddy", binary},
	})
}

func (h *rehearsal) all(ctx context.Context, dir string, commands [][]string) error {
	for _, c := range commands {
		fmt.Fprintln(h.out, " ", strings.ReplaceAll(strings.Join(c, " "), h.scratch, "$SCRATCH"))
		if err := h.run(ctx, dir, c[0], c[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// run runs a command with the rehearsal's module cache. Its output is shown if
// it fails.
func (h *rehearsal) run(ctx context.Context, dir, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = dir, h.env
	output, err := command.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case offline.Match(output):
		return fmt.Errorf("%w: %s %s: %w\n%s", errOffline, filepath.Base(name), strings.Join(args, " "), err, output)
	}
	return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, output)
}

// block matches the first program in Markdown.
var block = regexp.MustCompile("(?s)```go\n(package main\n.*?)```")

// readmeProgram returns the program of the README, changed to take the address
// of the platform from the environment.
func readmeProgram(readme string) (string, error) {
	found := block.FindStringSubmatch(readme)
	if found == nil {
		return "", errors.New("README.md has no program in Go")
	}
	program := strings.NewReplacer(
		`"https://sandbox.pismolabs.io/`, `os.Getenv("PISMO_BASE_URL")+"/`,
		`"https://sandbox.pismolabs.io"`, `os.Getenv("PISMO_BASE_URL")`,
		`"sandbox.pismolabs.io"`, `os.Getenv("PISMO_HOST")`,
	).Replace(found[1])
	if strings.Contains(program, "pismolabs") {
		return "", errors.New("the README's program names the platform in a way that the rehearsal cannot replace; see readmeProgram")
	}
	return program, nil
}
