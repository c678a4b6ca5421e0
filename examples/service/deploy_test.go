// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestDockerfile_PassesTheLinter(t *testing.T) {
	text, err := os.ReadFile("deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	rules := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	stages, _, err := instructions.Parse(result.AST, rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range result.Warnings {
		warnings = append(warnings, warning.Short)
	}
	if len(warnings) > 0 {
		t.Errorf("the linter says %q", warnings)
	}
	last := stages[len(stages)-1]
	user := ""
	for _, command := range last.Commands {
		if c, ok := command.(*instructions.UserCommand); ok {
			user = c.User
		}
	}
	if user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("the image runs as %q", user)
	}
}

// The manifest has only fields that Kubernetes knows.
func TestKubernetes_ManifestIsStrict(t *testing.T) {
	text, err := os.ReadFile("deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	deployment, service, ok := strings.Cut(string(text), "\n---\n")
	if !ok {
		t.Fatal("want a Deployment and a Service")
	}
	var d appsv1.Deployment
	var s corev1.Service
	if err := errors.Join(yaml.UnmarshalStrict([]byte(deployment), &d), yaml.UnmarshalStrict([]byte(service), &s)); err != nil {
		t.Fatal(err)
	}
	c := d.Spec.Template.Spec.Containers[0]
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.String() != "admin" {
			t.Error("a probe is missing or uses another port than admin")
		}
	}
	set := map[string]bool{}
	for _, v := range c.Env {
		set[v.Name] = true
	}
	_, err = newConfig(func(name string) string {
		if set[name] {
			return "x"
		}
		return ""
	})
	if err != nil && strings.Contains(err.Error(), "is not set") {
		t.Errorf("the manifest leaves variables out: %v", err)
	}
}

func TestSystemd_UnitIsVerified(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("LEFT OUT: the systemd unit is not verified. There is no systemd-analyze.")
		return
	}
	text, err := os.ReadFile("deploy/pismo-service.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "pismo-service.service")
	text = bytes.Replace(text, []byte("/usr/local/bin/pismo-service"), []byte(path), 1) // verify looks for the program.
	if err := os.WriteFile(unit, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if output, err := exec.CommandContext(ctx, path, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(output), "pismo-service") {
		t.Errorf("systemd-analyze: %v: %s", err, output)
	}
}

// The program must be static. The test builds it like the Dockerfile.
func TestDockerfile_ProgramIsStatic(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "service")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the program does not build: %v: %s", err, output)
	}
	file, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, []byte("ld-linux")) {
		t.Error("the program is linked dynamically")
	}
}
