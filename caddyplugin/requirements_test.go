// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// xcaddy requires the plugin and Caddy together. If both require a module in
// different versions, one of them runs with a version that it was not tested
// with.
func TestRequirements_AgreeWithCaddys(t *testing.T) {
	of := func(mod string) map[string]string {
		output, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", mod).Output()
		if err != nil {
			t.Fatalf("go mod edit -json %s: %v", mod, err)
		}
		var parsed struct {
			Require []struct{ Path, Version string }
		}
		if err := json.Unmarshal(output, &parsed); err != nil {
			t.Fatal(err)
		}
		versions := map[string]string{}
		for _, r := range parsed.Require {
			versions[r.Path] = r.Version
		}
		return versions
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.GoMod}}", "github.com/caddyserver/caddy/v2")
	command.Env = append(command.Environ(), "GOWORK=off")
	output, err := command.Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	caddys, common := of(string(output[:len(output)-1])), 0
	for path, version := range of("go.mod") {
		theirs, both := caddys[path]
		if !both {
			continue
		}
		common++
		if version != theirs {
			t.Errorf("the plugin requires %s %s, Caddy %s", path, version, theirs)
		}
	}
	if common == 0 {
		t.Error("the plugin and Caddy have no requirement in common")
	}
}
