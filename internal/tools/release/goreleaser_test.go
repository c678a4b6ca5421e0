// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A goreleaserConfig has the fields of .goreleaser.yaml that this project uses,
// as goreleaser names them.
type goreleaserConfig struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Builds      []struct {
		Dir, Main, Binary   string
		Env, Flags, Ldflags []string
		ModTimestamp        string `yaml:"mod_timestamp"`
		Goos, Goarch        []string
	}
	Archives []struct {
		Formats         []string
		FormatOverrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		Files []string
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
	}
	SBOMs []struct {
		Artifacts, Cmd  string
		Documents, Args []string
	}
	Changelog struct{ Disable bool }
	Release   struct{ Draft bool }
}

// goreleaser runs on a tag only. A mistake in its configuration would show only
// after module proxies know the release.
func TestGoreleaser_ConfigurationFits(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	text := read(t, filepath.Join(root, ".goreleaser.yaml"))
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var config goreleaserConfig
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	workflow := string(read(t, filepath.Join(root, ".github", "workflows", "release.yml")))
	if config.Version != 2 || !strings.Contains(workflow, "version: v2.") {
		t.Errorf("the configuration has version %d, and the workflow another version of goreleaser", config.Version)
	}
	if len(config.Builds) != 1 || len(config.Archives) != 1 || len(config.SBOMs) != 1 {
		t.Fatalf("the configuration has %d builds, %d archives and %d SBOMs; want one of each", len(config.Builds), len(config.Archives), len(config.SBOMs))
	}
	build := config.Builds[0]
	source := string(read(t, filepath.Join(root, build.Dir, build.Main, "main.go")))
	if !strings.Contains(source, "package main") || build.Binary == "" {
		t.Errorf("%s in %s is not a program", build.Main, build.Dir)
	}
	if len(build.Goos)*len(build.Goarch) != 6 {
		t.Errorf("binaries are built for %q and %q", build.Goos, build.Goarch)
	}
	for _, name := range config.Archives[0].Files {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("an archive contains %s: %v", name, err)
		}
	}
	if sbom := config.SBOMs[0]; !strings.Contains(workflow, "/"+sbom.Cmd+"@v") {
		t.Errorf("the workflow does not install %s", sbom.Cmd)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
