// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	gomodule "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// publish puts a module of the current commit into the module proxy. Its zip is
// the zip that the go command makes of a repository.
func (h *rehearsal) publish(ctx context.Context, modulePath, dir string) error {
	escaped, err := gomodule.EscapePath(modulePath)
	if err != nil {
		return err
	}
	goMod, err := git(ctx, h.dir, "show", "HEAD:"+path.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{h.version, time.Now().UTC()})
	if err != nil {
		return err
	}
	versions := filepath.Join(h.scratch, "proxy", filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"list":              h.version + "\n",
		h.version + ".info": string(info),
		h.version + ".mod":  goMod + "\n",
	} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	file, err := os.Create(filepath.Join(versions, h.version+".zip"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := zip.CreateFromVCS(file, gomodule.Version{Path: modulePath, Version: h.version}, filepath.Join(h.scratch, "clone"), "HEAD", dir); err != nil {
		return fmt.Errorf("zip of %s: %w", modulePath, err)
	}
	return file.Close()
}
