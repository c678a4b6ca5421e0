// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A program that calls Check at its start finds every fault of the credentials
// that its first request would find.
func TestCredentials_Check(t *testing.T) {
	const variable = "PISMOAUTH_TEST_CHECK"
	dir := t.TempDir()
	good, missing, locked := filepath.Join(dir, "good"), filepath.Join(dir, "missing"), filepath.Join(dir, "locked")
	writeFile(t, good, sentinel+"\n")
	writeFile(t, locked, sentinel)
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		credentials passport.Credentials
		says        []string
		is          error
	}{
		"good":           {passport.FileCredentials(good, good), nil, nil},
		"static":         {passport.StaticCredentials("k", "s"), nil, nil},
		"zero":           {passport.Credentials{}, []string{"S2S.Credentials.Key: it is not set", "S2S.Credentials.Secret: it is not set"}, tokensource.ErrMisconfigured},
		"both missing":   {passport.FileCredentials(missing, missing+"2"), []string{fmt.Sprintf("%q", missing), fmt.Sprintf("%q", missing+"2")}, fs.ErrNotExist},
		"a directory":    {passport.FileCredentials(dir, good), []string{dir, "cannot be read", "is a directory"}, tokensource.ErrMisconfigured},
		"two places":     {passport.Credentials{Key: passport.Env(variable), Secret: passport.File(missing)}, []string{variable + `" is not set`, missing}, fs.ErrNotExist},
		"vault explains": {passport.Credentials{Key: failingValue(fmt.Errorf(sentinel+": %w", tokensource.SafeError("the vault is sealed", errors.New(sentinel)))), Secret: passport.Literal("s")}, []string{"S2S.Credentials.Key", "the vault is sealed"}, tokensource.ErrMisconfigured},
		"vault is late":  {passport.Credentials{Key: failingValue(context.DeadlineExceeded), Secret: passport.Literal("s")}, []string{"S2S.Credentials.Key"}, tokensource.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.credentials.Check(t.Context())
			if test.is == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantText(t, err, test.says...)
			if !errors.Is(err, test.is) {
				t.Errorf("got error %v, want %v", err, test.is)
			}
			wantNoSentinel(t, name, err)
		})
	}
	// The user root can read every file.
	if _, err := os.ReadFile(locked); errors.Is(err, fs.ErrPermission) {
		err := passport.FileCredentials(locked, locked).Check(t.Context())
		wantText(t, err, locked, "permission denied")
		if strings.Count(err.Error(), locked) != 2 {
			t.Errorf("the error does not name the file once for the key and once for the secret: %v", err)
		}
	}
}

// Each value is read once, because a vault may limit reads.
func TestCredentials_CheckReadsOnce(t *testing.T) {
	reads := 0
	counting := func(context.Context) (tokensource.Secret, error) {
		reads++
		return tokensource.NewSecret("s"), nil
	}
	if err := (passport.Credentials{Key: counting, Secret: counting}).Check(t.Context()); err != nil || reads != 2 {
		t.Errorf("got %d reads, error %v, want 2 reads", reads, err)
	}
}
