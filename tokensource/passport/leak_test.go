// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// sentinel is part of every secret in these tests. It must not appear anywhere
// else.
const sentinel = "SENTINEL"

// These verbs print values. For oddVerbs, fmt does not call the methods of some
// values.
var (
	verbs     = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%10v"}
	oddVerbs  = []string{"%d", "%t", "%e", "%c", "%U", "%T", "%!"}
	worstVerb = "%p" // fmt never calls a method for this verb.
)

// prints returns the results of printing, logging and marshalling v.
func prints(v any, verbs ...string) []string {
	var all []string
	for _, verb := range verbs {
		all = append(all, fmt.Sprintf(verb, v))
	}
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("printed", "it", v, "group", slog.GroupValue(slog.Any("it", v)))
	}
	inJSON, _ := json.Marshal(v)
	inXML, _ := xml.Marshal(v)
	return append(all, b.String(), string(inJSON), string(inXML))
}

// wantNoSentinel fails the test if a printed form of v holds a secret, in plain
// text or in an encoding of fmt or json.
func wantNoSentinel(t *testing.T, name string, v any, more ...string) {
	t.Helper()
	for _, printed := range prints(v, slices.Concat(verbs, more)...) {
		for _, leak := range []string{
			sentinel,
			hex.EncodeToString([]byte(sentinel)),
			fmt.Sprintf("% x", sentinel),
			base64.StdEncoding.EncodeToString([]byte(sentinel))[:10],
			strings.Trim(fmt.Sprintf("%d", []byte(sentinel)), "[]"),
		} {
			if strings.Contains(strings.ToLower(printed), strings.ToLower(leak)) {
				t.Errorf("%s leaks: %s", name, printed)
			}
		}
	}
}

func s2sWithSentinels(baseURL string) *passport.S2S {
	return &passport.S2S{
		BaseURL:     baseURL,
		Credentials: passport.StaticCredentials("key-"+sentinel, "secret-"+sentinel),
		Header:      http.Header{"X-Gateway-Key": {sentinel}},
		Fields:      map[string]any{"pin": sentinel},
	}
}

// fmt calls no method of a value in an unexported field.
func TestCredentials_HiddenInUnexportedFields(t *testing.T) {
	s := s2sWithSentinels("https://sandbox.pismolabs.io")
	s.Header, s.Fields = nil, nil
	for name, v := range map[string]any{
		"value":              *s,
		"pointer":            s,
		"unexported value":   struct{ issuer passport.S2S }{*s},
		"unexported pointer": struct{ issuer *passport.S2S }{s},
		"unexported, nested": struct{ c struct{ issuer passport.S2S } }{struct{ issuer passport.S2S }{*s}},
		"credentials":        s.Credentials,
		"a single secret":    s.Credentials.Secret,
		"unexported, in a map": struct {
			m map[string]passport.Credentials
		}{map[string]passport.Credentials{"m": s.Credentials}},
	} {
		wantNoSentinel(t, name, v, append(oddVerbs, worstVerb)...)
	}
}

func TestS2S_PrintsOnlyItsHost(t *testing.T) {
	s := s2sWithSentinels("https://user:" + sentinel + "@sandbox.pismolabs.io:8443/" + sentinel + "?x=" + sentinel + "#" + sentinel)
	for name, v := range map[string]any{
		"pointer":   s,
		"value":     *s,
		"slice":     []*passport.S2S{s},
		"values":    []passport.S2S{*s},
		"map":       map[string]passport.S2S{"s": *s},
		"struct":    struct{ Issuer *passport.S2S }{s},
		"interface": struct{ Issuer tokensource.Issuer }{s},
		"config":    tokensource.Config{Issuer: s},
		"error":     s.Validate(),
	} {
		wantNoSentinel(t, name, v, oddVerbs...)
	}
	const want = "passport.S2S(sandbox.pismolabs.io:8443)"
	if got := s.String(); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	for _, printed := range []string{fmt.Sprintf("%v", s), fmt.Sprintf("%+v", *s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q", *s)} {
		if printed != want {
			t.Errorf("printed as %q, want %q", printed, want)
		}
	}
	if printed, err := json.Marshal(s); string(printed) != `"`+want+`"` {
		t.Errorf("marshalled as %s (%v)", printed, err)
	}
	s.BaseURL = "https://" + sentinel + "\x00"
	wantNoSentinel(t, "invalid base URL", s)
	s.BaseURL = sentinel
	wantNoSentinel(t, "misplaced secret", s)
	wantNoSentinel(t, "misplaced secret, validated", s.Validate())
	if got := fmt.Sprint((*passport.S2S)(nil)); got != "<nil>" {
		t.Errorf("nil is printed as %q", got)
	}
}

func TestCredentials_PrintNothing(t *testing.T) {
	t.Setenv("PISMOAUTH_TEST_LEAK", sentinel)
	path := filepath.Join(t.TempDir(), "secret")
	writeFile(t, path, sentinel)
	for name, c := range map[string]passport.Credentials{
		"static": passport.StaticCredentials("key-"+sentinel, "secret-"+sentinel),
		"env":    passport.EnvCredentials("PISMOAUTH_TEST_LEAK", "PISMOAUTH_TEST_LEAK"),
		"file":   passport.FileCredentials(path, path),
	} {
		wantNoSentinel(t, name, c)
		wantNoSentinel(t, name+", pointer", &c)
		wantNoSentinel(t, name+", inside", struct{ C passport.Credentials }{c})
		wantNoSentinel(t, name+", unexported", struct{ c passport.Credentials }{c})
		wantNoSentinel(t, name+", value", c.Secret)
		secret, err := c.Secret(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantNoSentinel(t, name+", secret", secret)
	}
	for _, printed := range []string{
		fmt.Sprintf("%+v", passport.StaticCredentials("k", "s")),
		fmt.Sprintf("%#v", passport.StaticCredentials("k", "s")),
	} {
		if printed != "[redacted]" {
			t.Errorf("printed as %q, want [redacted]", printed)
		}
	}
}

func TestClientCertificate_PrintsNoKey(t *testing.T) {
	c := newClientCertificate(t, newPairOnDisk(t, 1))
	certificate, err := c.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("%v", certificate.PrivateKey)
	for _, printed := range append(prints(c, verbs...), prints(struct{ c *passport.ClientCertificate }{c}, verbs...)...) {
		if strings.Contains(printed, "PrivateKey") || strings.Contains(printed, key) {
			t.Errorf("leaks: %s", printed)
		}
	}
}

func TestGrant_PrintsNoToken(t *testing.T) {
	grant, err := s2sAnswering([]byte(`{"token":"`+sentinel+`","refresh":"`+sentinel+`"}`)).Issue(t.Context(), tokensource.Organization())
	if err != nil {
		t.Fatal(err)
	}
	wantNoSentinel(t, "grant", grant)
	wantNoSentinel(t, "pointer", &grant)
}

// The errors hold no part of the answer.
func TestS2S_ErrorsHoldNoSecret(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	body := `{"message":"` + sentinel + `","secret":"key-` + sentinel + `"}`
	echo := func(status int, body string) func(*testing.T) error {
		return func(t *testing.T) error {
			t.Helper()
			base := serve(t, answer(status, body, "x-cid", "<"+sentinel+">", "Location", "/"+sentinel, "WWW-Authenticate", sentinel))
			_, err := s2sWithSentinels(base+"/"+sentinel).Issue(t.Context(), account(t, "1"))
			return err
		}
	}
	issue := func(ctx context.Context, change func(*passport.S2S)) func(*testing.T) error {
		return func(t *testing.T) error {
			t.Helper()
			s := s2sWithSentinels("https://sandbox.pismolabs.io/" + sentinel)
			s.Client = &http.Client{Transport: roundTripperFunc(func(req *http.Request) (*http.Response, error) {
				return nil, errors.Join(errors.New("dial "+req.URL.Host+": "+sentinel), req.Context().Err())
			})}
			change(s)
			_, err := s.Issue(ctx, tokensource.Organization())
			return err
		}
	}
	two := sentinel + "\n" + sentinel
	path := filepath.Join(t.TempDir(), "secret")
	writeFile(t, path, two)
	t.Setenv("PISMOAUTH_TEST_LEAK", two)
	for name, fail := range map[string]func(*testing.T) error{
		"401":                   echo(401, body),
		"403":                   echo(403, body),
		"404":                   echo(404, body),
		"418":                   echo(418, body),
		"429":                   echo(429, body),
		"500":                   echo(500, body),
		"307":                   echo(307, body),
		"HTML":                  echo(200, "<html>"+sentinel),
		"no JSON":               echo(200, sentinel),
		"no token":              echo(200, body),
		"token of another type": echo(200, `{"token":["`+sentinel+`"]}`),
		"odd account_id":        echo(200, `{"token":"`+sentinel+`","account_id":["`+sentinel+`",1]}`),
		"two tokens":            echo(200, `{"token":"`+sentinel+`","token":"2`+sentinel+`"}`),
		"damaged gzip":          echo(200, "\x1f\x8b"+sentinel),
		"too long":              echo(200, strings.Repeat(sentinel, 9000)),
		"truncated": func(t *testing.T) error {
			t.Helper()
			base := rawServer(t, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n"+sentinel)
			_, err := s2sWithSentinels(base).Issue(t.Context(), tokensource.Organization())
			return err
		},
		"not HTTP": func(t *testing.T) error {
			t.Helper()
			_, err := s2sWithSentinels(rawServer(t, sentinel+"\r\n")).Issue(t.Context(), tokensource.Organization())
			return err
		},
		"network":          issue(t.Context(), func(*passport.S2S) {}),
		"canceled":         issue(canceled, func(*passport.S2S) {}),
		"custom value":     issue(t.Context(), func(s *passport.S2S) { s.Credentials.Key = failingValue(errors.New(sentinel)) }),
		"two-line literal": issue(t.Context(), func(s *passport.S2S) { s.Credentials.Secret = passport.Literal(two) }),
		"two-line file":    issue(t.Context(), func(s *passport.S2S) { s.Credentials.Secret = passport.File(path) }),
		"two-line env":     issue(t.Context(), func(s *passport.S2S) { s.Credentials.Secret = passport.Env("PISMOAUTH_TEST_LEAK") }),
		"no file":          issue(t.Context(), func(s *passport.S2S) { s.Credentials.Secret = passport.File(path + "2") }),
		"plaintext":        issue(t.Context(), func(s *passport.S2S) { s.BaseURL = "http://example/" + sentinel }),
		"user info":        issue(t.Context(), func(s *passport.S2S) { s.BaseURL = "https://" + sentinel + "@example" }),
		"bad URL":          issue(t.Context(), func(s *passport.S2S) { s.BaseURL = "https://" + sentinel + ":" + sentinel }),
		"bad header":       issue(t.Context(), func(s *passport.S2S) { s.Header = http.Header{"X-A": {two}} }),
		"bad field":        issue(t.Context(), func(s *passport.S2S) { s.Fields = map[string]any{"a": func() {}, "b": sentinel} }),
	} {
		t.Run(name, func(t *testing.T) {
			err := fail(t)
			if err == nil {
				t.Fatal("no error")
			}
			failure := failure(t, err)
			wantNoSentinel(t, "error", err)
			wantNoSentinel(t, "wrapped", fmt.Errorf("more: %w", err))
			// The cause may name hosts and files, but no credentials.
			for _, leak := range []string{"key-" + sentinel, "secret-" + sentinel, two} {
				if cause := cause(failure); cause != nil && strings.Contains(cause.Error(), leak) {
					t.Errorf("the cause leaks %q: %v", leak, cause)
				}
			}
		})
	}
}

func failingValue(err error) passport.SecretFunc {
	return func(context.Context) (tokensource.Secret, error) { return tokensource.Secret{}, err }
}

func TestValidate_RepeatsNoValue(t *testing.T) {
	s := &passport.S2S{
		BaseURL:     "http://" + sentinel,
		SecretField: "server_key",
		Header:      http.Header{"Authorization": {sentinel}, "X-A": {sentinel + "\n"}},
		Fields:      map[string]any{"account_id": sentinel, "f": map[string]any{sentinel: func() {}}},
	}
	wantNoSentinel(t, "Validate", s.Validate())
	_, err := tokensource.New(tokensource.Config{Issuer: s})
	wantNoSentinel(t, "New", err)
	for _, base := range []string{
		sentinel,
		"https://" + sentinel + "@example",
		"https://example:" + sentinel,
		"https://example/%" + sentinel,
		"https://example/?" + sentinel,
		strings.ToLower(sentinel) + "://example",
		"\n" + sentinel,
	} {
		wantNoSentinel(t, base, issuer(base).Validate())
	}
}
