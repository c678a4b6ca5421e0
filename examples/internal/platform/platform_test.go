// SPDX-License-Identifier: Apache-2.0

package platform_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// Each fault is found before the first request. The error names the variable.
func TestFromEnvironment_NamesMissingVariable(t *testing.T) {
	const url = "https://sandbox.pismolabs.io"
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		base, key, secret, file string
		want                    []string
	}{
		"a key alone":           {key: "k", want: []string{"PISMO_SERVER_KEY is set", "PISMO_BASE_URL is not"}},
		"a secret alone":        {secret: "s", want: []string{"PISMO_SERVER_SECRET is set", "PISMO_BASE_URL is not"}},
		"a file alone":          {file: missing, want: []string{"PISMO_SERVER_SECRET_FILE is set", "PISMO_BASE_URL is not"}},
		"no key":                {base: url, secret: "s", want: []string{"PISMO_SERVER_KEY is not"}},
		"no secret":             {base: url, key: "k", want: []string{"neither PISMO_SERVER_SECRET nor PISMO_SERVER_SECRET_FILE"}},
		"no URL":                {base: "https://%zz", key: "k", secret: "s", want: []string{"PISMO_BASE_URL is not a URL"}},
		"a host":                {base: "sandbox.pismolabs.io", key: "k", secret: "s", want: []string{"PISMO_BASE_URL", "BaseURL"}},
		"a URL without TLS":     {base: "http://sandbox.pismolabs.io", key: "k", secret: "s", want: []string{"PISMO_BASE_URL", "in the clear"}},
		"a missing file":        {base: url, key: "k", file: missing, want: []string{missing}},
		"a directory as a file": {base: url, key: "k", file: dir, want: []string{dir}},
		"an empty file":         {base: url, key: "k", file: empty, want: []string{empty, "empty"}},
		"an unprintable key":    {base: url, key: "k\n", secret: "SENTINEL", want: []string{"PISMO_SERVER_KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PISMO_BASE_URL", test.base)
			t.Setenv("PISMO_SERVER_KEY", test.key)
			t.Setenv("PISMO_SERVER_SECRET", test.secret)
			t.Setenv("PISMO_SERVER_SECRET_FILE", test.file)
			_, err := platform.FromEnvironment(passporttest.Config{})
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "SENTINEL") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestFromEnvironment_TakesThePlatformOrADouble(t *testing.T) {
	for _, name := range []string{"PISMO_BASE_URL", "PISMO_SERVER_KEY", "PISMO_SERVER_SECRET", "PISMO_SERVER_SECRET_FILE"} {
		t.Setenv(name, "")
	}
	p, err := platform.FromEnvironment(passporttest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.FakeServer == nil || p.URL.Host != p.FakeServer.Host() {
		t.Errorf("without variables it is %v, want a fake server", p.URL)
	}
	t.Setenv("PISMO_BASE_URL", "https://sandbox.pismolabs.io")
	t.Setenv("PISMO_SERVER_KEY", "key")
	t.Setenv("PISMO_SERVER_SECRET", "secret")
	p, err = platform.FromEnvironment(passporttest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if p.FakeServer != nil || p.URL.Host != "sandbox.pismolabs.io" {
		t.Errorf("with variables it is %v", p.URL)
	}
}
