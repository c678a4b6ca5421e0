// SPDX-License-Identifier: Apache-2.0

package pismoauth_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// The commands of the page make a key that is accepted. They print the
// fingerprint that errors show.
func TestOpenID_CommandsMakeAKey(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Log("LEFT OUT: the commands of docs/openid.md are not run. There is no openssl.")
		return
	}
	dir, output := t.TempDir(), ""
	for _, block := range fences(t, "docs/openid.md", readFile(t, "docs/openid.md")) {
		if block.language != "sh" {
			continue
		}
		command := exec.CommandContext(t.Context(), "sh", "-ec", block.text)
		command.Dir = dir
		text, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", block.text, err, text)
		}
		output = string(text)
	}
	fingerprints, err := passport.FileKey(filepath.Join(dir, "pismo.pem")).Fingerprints(t.Context())
	if err != nil || !strings.HasPrefix(output, fingerprints[0]) {
		t.Errorf("fingerprints %v (%v), the commands print %q", fingerprints, err, output)
	}
}
