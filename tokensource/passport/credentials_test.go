// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// receivedCredentials starts a token server. It returns the base URL, and a
// function that returns the key and the secret of each request.
func receivedCredentials(t *testing.T) (string, func() [][2]string) {
	t.Helper()
	var mu sync.Mutex
	var all [][2]string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Key    string `json:"server_key"`
			Secret string `json:"server_secret"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		all = append(all, [2]string{body.Key, body.Secret})
		mu.Unlock()
		answer(http.StatusCreated, `{"token":"t"}`)(w, r)
	})
	return base, func() [][2]string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestCredentials_AreReadForEachIssuance(t *testing.T) {
	dir := t.TempDir()
	keyFile, secretFile := filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	for name, test := range map[string]struct {
		credentials passport.Credentials
		set         func(key, secret string)
	}{
		"environment": {
			passport.EnvCredentials("PISMOAUTH_TEST_KEY", "PISMOAUTH_TEST_SECRET"),
			func(key, secret string) {
				t.Setenv("PISMOAUTH_TEST_KEY", key)
				t.Setenv("PISMOAUTH_TEST_SECRET", secret)
			},
		},
		"files": {
			passport.FileCredentials(keyFile, secretFile),
			func(key, secret string) {
				writeFile(t, keyFile, key+"\n")
				writeFile(t, secretFile, secret)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			base, got := receivedCredentials(t)
			s := issuer(base)
			s.Credentials = test.credentials
			want := [][2]string{{"key1", "secret1"}, {"key1", "secret2"}, {"key2", sampleSecret}}
			for _, pair := range want {
				test.set(pair[0], pair[1])
				if _, err := s.Issue(t.Context(), tokensource.Organization()); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got(), want) {
				t.Errorf("sent %q, want %q", got(), want)
			}
		})
	}
}

// A file with another control character is refused.
func TestFile_StripsOneLineBreak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"s":            "s",
		"s\n":          "s",
		"s\r\n":        "s",
		" s ":          " s ",
		" s \n":        " s ",
		"a b\n":        "a b",
		sampleSecret:   sampleSecret,
		"\"s\"\n":      "\"s\"",
		"s\n\n":        "", // none
		"s\r\n\r\n":    "",
		"s\n\r\n":      "",
		"s\r":          "",
		"s\r\r\n":      "",
		"\ns":          "",
		"a\nb\n":       "",
		"s\t":          "",
		"s\x00":        "",
		"s\x7f":        "",
		"s\u0085":      "",
		"s\u00a0":      "",
		"\u200bs":      "",
		"\ufeffs":      "",
		"s\xff":        "",
		"s\x00e\x00\n": "", // UTF-16
		"":             "",
		"\n":           "",
		"\r\n":         "",
	} {
		writeFile(t, path, content)
		secret, err := passport.File(path)(t.Context())
		if want != "" {
			if err != nil || secret.Reveal() != want {
				t.Errorf("%q: %q, error %v; want %q", content, secret.Reveal(), err, want)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q: accepted as %q", content, secret.Reveal())
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error does not name the file: %v", content, err)
		}
	}
}

func TestFile_ReadsUpTo4KiB(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for length, ok := range map[int]bool{4096: true, 4097: false} {
		for _, end := range []string{"s", "\n"} {
			writeFile(t, path, strings.Repeat("s", length-1)+end)
			if _, err := passport.File(path)(t.Context()); (err == nil) != ok {
				t.Errorf("%d bytes, ending in %q: got error %v, want valid %v", length, end, err, ok)
			}
		}
	}
	if _, err := os.Stat("/dev/zero"); err == nil {
		if _, err := passport.File("/dev/zero")(t.Context()); err == nil {
			t.Error("an endless file was read")
		}
	}
}

func TestCredentials_ErrorNamesSource(t *testing.T) {
	const variable, otherVariable = "PISMOAUTH_TEST_A", "PISMOAUTH_TEST_B"
	const leak = "LEAKED"
	dir := t.TempDir()
	missing, broken, empty := filepath.Join(dir, "missing"), filepath.Join(dir, "broken"), filepath.Join(dir, "empty")
	writeFile(t, broken, leak+"\n"+leak+"\n")
	writeFile(t, empty, "\n")
	good := passport.Literal("s")
	custom := func(value string, err error) passport.SecretFunc {
		return func(context.Context) (tokensource.Secret, error) { return tokensource.NewSecret(value), err }
	}
	for name, test := range map[string]struct {
		credentials passport.Credentials
		kind        tokensource.ErrorKind
		says        []string
	}{
		"variable not set":      {passport.Credentials{Key: passport.Env(variable), Secret: good}, "", []string{variable, "not set", "S2S.Credentials.Key"}},
		"variable empty":        {passport.Credentials{Key: good, Secret: passport.Env(otherVariable)}, "", []string{otherVariable, "empty", "S2S.Credentials.Secret"}},
		"file missing":          {passport.FileCredentials(missing, missing), "", []string{missing, "S2S.Credentials.Key"}},
		"file is a directory":   {passport.FileCredentials(dir, dir), "", []string{dir}},
		"file empty":            {passport.Credentials{Key: good, Secret: passport.File(empty)}, "", []string{empty, "empty"}},
		"file of two lines":     {passport.Credentials{Key: good, Secret: passport.File(broken)}, "", []string{broken, "unprintable"}},
		"literal of two lines":  {passport.StaticCredentials("k", leak+"\n"+leak), "", []string{"S2S.Credentials.Secret", "unprintable"}},
		"custom, empty":         {passport.Credentials{Key: custom("", nil), Secret: good}, "", []string{"S2S.Credentials.Key", "empty"}},
		"custom, control":       {passport.Credentials{Key: custom(leak+"\x00", nil), Secret: good}, "", []string{"S2S.Credentials.Key"}},
		"custom, failing":       {passport.Credentials{Key: custom("", errors.New(leak)), Secret: good}, "", []string{"S2S.Credentials.Key", "function"}},
		"custom, too late":      {passport.Credentials{Key: good, Secret: custom("", context.DeadlineExceeded)}, tokensource.ErrTimeout, []string{"S2S.Credentials.Secret"}},
		"custom, its own error": {passport.Credentials{Key: good, Secret: custom("", tokensource.NewError(tokensource.ErrUnavailable, nil))}, tokensource.ErrUnavailable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(otherVariable, "")
			s := issuer("https://sandbox.pismolabs.io")
			s.Client = unusableClient(t)
			s.Credentials = test.credentials
			_, err := s.Issue(t.Context(), tokensource.Organization())
			if test.kind == "" {
				test.kind = tokensource.ErrMisconfigured
			}
			failure := failedWith(t, err, test.kind)
			why := failure.Error()
			for _, says := range test.says {
				if !strings.Contains(why, says) {
					t.Errorf("the text does not say %q: %s", says, why)
				}
			}
			if strings.Contains(why, leak) {
				t.Errorf("the text holds the value: %s", why)
			}
		})
	}
}

func TestFile_ErrorWrapsErrNotExist(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	s := issuer("https://sandbox.pismolabs.io")
	s.Credentials = passport.FileCredentials(missing, missing)
	_, err := s.Issue(t.Context(), tokensource.Organization())
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, tokensource.ErrMisconfigured) {
		t.Errorf("got error %v, want fs.ErrNotExist and misconfigured", err)
	}
}

func TestValue_GetsIssuanceContext(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	base, _ := receivedCredentials(t)
	s := issuer(base)
	s.Credentials.Key = func(ctx context.Context) (tokensource.Secret, error) {
		if ctx.Value(key{}) != "value" {
			t.Error("the function got another context")
		}
		return tokensource.NewSecret("k"), nil
	}
	if _, err := s.Issue(ctx, tokensource.Organization()); err != nil {
		t.Fatal(err)
	}
	s.Revision(ctx)
}

func TestRevision_ChangesWithCredentials(t *testing.T) {
	revision := func(key, secret string) string {
		s := issuer("https://sandbox.pismolabs.io")
		s.Credentials = passport.StaticCredentials(key, secret)
		return s.Revision(t.Context())
	}
	first := revision("key", "secret")
	if again := revision("key", "secret"); again != first {
		t.Errorf("the same credentials have revisions %q and %q", first, again)
	}
	for _, other := range [][2]string{
		{"key", "secret2"}, {"key2", "secret"}, {"secret", "key"},
		{"keys", "ecret"}, {"ke", "ysecret"}, {"keysecret", "keysecret"},
	} {
		if got := revision(other[0], other[1]); got == first {
			t.Errorf("%q has the same revision as key and secret", other)
		}
	}
	if strings.Contains(first, "key") || strings.Contains(first, "secret") || len(first) > 16 {
		t.Errorf("revision = %q, want 16 letters at most, without the key and the secret", first)
	}
}

func TestRevision_UnreadableIsEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	s := issuer("https://sandbox.pismolabs.io")
	s.Credentials.Secret = passport.File(path)
	missing := s.Revision(t.Context())
	writeFile(t, path, "two\nlines\n")
	if broken := s.Revision(t.Context()); broken != "" || missing != "" {
		t.Errorf("the revisions of a missing and a broken file are %q and %q, want empty strings", missing, broken)
	}
	writeFile(t, path, "s")
	there := s.Revision(t.Context())
	if there == missing {
		t.Error("the revision did not change when the file appeared")
	}
	var zero passport.S2S
	if zero.Revision(t.Context()) != missing {
		t.Error("the zero S2S has another revision")
	}
}
