// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// checkVersion returns an error if the version cannot be released.
func checkVersion(version string) error {
	switch {
	case !semver.IsValid(version) || semver.Canonical(version) != version:
		return fmt.Errorf("%q is not a version; write one like v1.2.3", version)
	case strings.HasPrefix(version, "v0.0.0"):
		return fmt.Errorf("%s stands for no release; choose a version from v0.1.0 on", version)
	}
	return nil
}

// check returns everything that prevents a release of the current commit.
func (r *repository) check(ctx context.Context, version string) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	var faults []error
	status, err := git(ctx, r.dir, "status", "--porcelain")
	if err != nil {
		return err
	}
	if status != "" {
		faults = append(faults, fmt.Errorf("the checkout has changes; commit them first:\n%s", status))
	}
	faults = append(faults, r.checkModules(version)...)
	if _, err := r.notes(version); err != nil {
		faults = append(faults, err)
	}
	faults = append(faults, r.checkTags(ctx, version)...)
	return errors.Join(faults...)
}

// checkModules returns an error for each nested module that does not require
// the root module, or another nested module, at the version.
func (r *repository) checkModules(version string) []error {
	var faults []error
	for _, m := range r.modules {
		for _, required := range m.siblings(r.root) {
			if required.Version != version {
				faults = append(faults, fmt.Errorf("%s/go.mod requires %s %s; run release next %s and commit that", m.dir, required.Path, required.Version, version))
			}
		}
	}
	return faults
}

// checkTags returns an error for each tag of the release that is already on
// another commit, here or at origin.
func (r *repository) checkTags(ctx context.Context, version string) []error {
	head, err := git(ctx, r.dir, "rev-parse", "HEAD")
	if err != nil {
		return []error{err}
	}
	sources := [][]string{{"show-ref", "--tags", "--dereference"}}
	if _, err := git(ctx, r.dir, "remote", "get-url", "origin"); err == nil {
		sources = append(sources, []string{"ls-remote", "--tags", "origin"})
	}
	var faults []error
	for _, source := range sources {
		list, err := git(ctx, r.dir, source...)
		if err != nil && source[0] != "show-ref" { // show-ref fails without tags.
			faults = append(faults, err)
		}
		tagged := commits(list)
		for _, tag := range r.tags(version) {
			if commit := tagged[tag]; commit != "" && commit != head {
				faults = append(faults, fmt.Errorf("the tag %s is on commit %.12s already (git %s); a tag never moves, so release the next version", tag, commit, source[0]))
			}
		}
	}
	return faults
}

// commits returns the commit of each tag in a list of "commit refs/tags/name"
// lines. The commit of an annotated tag is in a second line, which ends in ^{}.
func commits(list string) map[string]string {
	tagged := map[string]string{}
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) == 2 {
			tagged[strings.TrimSuffix(strings.TrimPrefix(fields[1], "refs/tags/"), "^{}")] = fields[0]
		}
	}
	return tagged
}

// tag tags the current commit after a check, and prints how to publish it.
func (r *repository) tag(ctx context.Context, version string, out io.Writer) error {
	if err := r.check(ctx, version); err != nil {
		return err
	}
	tags := r.tags(version)
	for _, tag := range tags {
		if _, err := git(ctx, r.dir, "rev-parse", "--verify", "--quiet", "refs/tags/"+tag); err == nil {
			continue // The tag is already on this commit: see check.
		}
		if _, err := git(ctx, r.dir, "tag", "--annotate", "--message", "Release "+tag, tag); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "Tagged. To publish:\n\n\tgit push --atomic origin %s\n", strings.Join(tags, " "))
	return nil
}

// next makes each nested module require the other modules of the repository at
// the version. It changes files and commits nothing.
func (r *repository) next(version string) error {
	if err := checkVersion(version); err != nil {
		return err
	}
	for _, m := range r.modules {
		siblings := m.siblings(r.root)
		if len(siblings) == 0 {
			continue
		}
		for _, required := range siblings {
			if semver.Compare(version, required.Version) < 0 {
				return fmt.Errorf("%s/go.mod requires %s already, which is newer than %s", m.dir, required.Version, version)
			}
			if err := m.file.AddRequire(required.Path, version); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(r.dir, filepath.FromSlash(m.dir), "go.mod"), modfile.Format(m.file.Syntax), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// heading matches the heading of a section of the changelog.
var heading = regexp.MustCompile(`(?m)^## \[([^\]]+)\](.*)$`)

// notes returns the section of the changelog for the version, without its
// heading.
func (r *repository) notes(version string) (string, error) {
	if err := checkVersion(version); err != nil {
		return "", err
	}
	changelog, err := os.ReadFile(filepath.Join(r.dir, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	text := string(changelog)
	headings := heading.FindAllStringSubmatchIndex(text, -1)
	for i, h := range headings {
		if text[h[2]:h[3]] != strings.TrimPrefix(version, "v") {
			continue
		}
		if !regexp.MustCompile(`^ - \d{4}-\d\d-\d\d$`).MatchString(strings.TrimRight(text[h[4]:h[5]], "\r")) {
			return "", fmt.Errorf("CHANGELOG.md has no date for %s; write ## [%s] - YYYY-MM-DD", version, strings.TrimPrefix(version, "v"))
		}
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		if section := strings.TrimSpace(text[h[1]:end]); section != "" {
			return section + "\n", nil
		}
		return "", fmt.Errorf("CHANGELOG.md says nothing about %s", version)
	}
	return "", fmt.Errorf("CHANGELOG.md has no section for %s; name the section Unreleased so, with the date", version)
}
