// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// faults returns the faulty fields in err.
func faults(t *testing.T, err error) (fields []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var fault *tokensource.ConfigError
		if !errors.As(err, &fault) {
			t.Fatalf("fault is a %T, want a *tokensource.ConfigError", err)
		}
		if !errors.Is(err, tokensource.ErrMisconfigured) {
			t.Errorf("got error %v, want ErrMisconfigured", err)
		}
		fields = append(fields, fault.Field)
	}
	return fields
}

func TestValidate_ReportsEveryFault(t *testing.T) {
	s := &passport.S2S{
		BaseURL:     "http://sandbox.pismolabs.io",
		SecretField: "Account_ID",
		Header: http.Header{
			"authorization": {"x"},
			"bad name":      {"x"},
			"X-Bad-Value":   {"good", "bad\n"},
			"X-Good":        {"tab\tand é"},
		},
		Fields: map[string]any{"SERVER_KEY": 1, "inf": math.Inf(1), "fine": true},
	}
	got := faults(t, s.Validate())
	want := []string{
		"S2S.BaseURL",
		"S2S.Credentials.Key",
		"S2S.Credentials.Secret",
		"S2S.SecretField",
		`S2S.Header["X-Bad-Value"]`,
		`S2S.Header["authorization"]`,
		`S2S.Header["bad name"]`,
		`S2S.Fields["SERVER_KEY"]`,
		`S2S.Fields["inf"]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := tokensource.New(tokensource.Config{Issuer: s}); !errors.Is(err, tokensource.ErrMisconfigured) {
		t.Errorf("New: got error %v, want ErrMisconfigured", err)
	}
}

// Each of these addresses could send the secret without TLS or to another host.
func TestBaseURL_RefusesUnsafe(t *testing.T) {
	for base, reason := range map[string]string{
		"":                                                          "is not set",
		"sandbox.pismolabs.io":                                      "https://",
		"//sandbox.pismolabs.io":                                    "https://",
		"ftp://sandbox.pismolabs.io":                                "https://",
		"https:sandbox.pismolabs.io":                                "no host",
		"https://":                                                  "no host",
		"https://:443":                                              "no host",
		"https:///passport":                                         "no host",
		"http://sandbox.pismolabs.io":                               "in the clear",
		"http://localhost.example":                                  "in the clear",
		"http://127.0.0.1.example":                                  "in the clear",
		"http://10.0.0.1":                                           "in the clear",
		"http://localhost@sandbox.pismolabs.io":                     "in the clear",
		"https://user@sandbox.pismolabs.io":                         "user info",
		"https://user:pass@sandbox.pismolabs.io":                    "user info",
		"https://@sandbox.pismolabs.io":                             "user info",
		"https://sandbox.pismolabs.io?":                             "query",
		"https://sandbox.pismolabs.io/?x=y":                         "query",
		"https://sandbox.pismolabs.io/#":                            "fragment",
		"https://sandbox.pismolabs.io/#x":                           "fragment",
		"https://sandbox.pismolabs.io/passport":                     `"/passport"`,
		"https://sandbox.pismolabs.io/a/passport":                   `"/passport"`,
		"https://sandbox.pismolabs.io/passport/v2/s2s/access-token": `"/passport"`,
		"https://sandbox.pismolabs.io:port":                         "is not a URL",
		"https://sandbox.pismolabs.io\n":                            "is not a URL",
		"https://sandbox.pismolabs.io/%zz":                          "is not a URL",
		" https://sandbox.pismolabs.io":                             "is not a URL",
	} {
		s := issuer(base)
		err := s.Validate()
		if got := faults(t, err); !slices.Equal(got, []string{"S2S.BaseURL"}) {
			t.Errorf("%q: faults = %q, want S2S.BaseURL", base, got)
			continue
		}
		if !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want something about %q", base, err, reason)
		}
	}
}

func TestBaseURL_AcceptsSafe(t *testing.T) {
	for _, base := range []string{
		"https://sandbox.pismolabs.io",
		"HTTPS://sandbox.pismolabs.io/",
		"https://sandbox.pismolabs.io:8443/gateway",
		"https://sandbox.pismolabs.io/passports",
		"https://10.0.0.1",
		"https://[2001:db8::1]:443",
		"http://localhost:8080",
		"http://127.0.0.1:8080",
		"http://[::1]:8080/prefix",
	} {
		if err := issuer(base).Validate(); err != nil {
			t.Errorf("%q: got error %v, want none", base, err)
		}
	}
}

func TestHeader_RefusesReservedAndInvalid(t *testing.T) {
	for _, name := range []string{
		"Accept", "accept-encoding", "AUTHORIZATION", "Connection", "Content-Encoding",
		"content-length", "Content-Type", "Expect", "host", "Keep-Alive", "Proxy-Authorization",
		"Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
		"", "a b", "a:", "é", "a\n",
	} {
		s := issuer("https://sandbox.pismolabs.io")
		s.Header = http.Header{name: {"x"}}
		if got := faults(t, s.Validate()); len(got) != 1 || !strings.HasPrefix(got[0], "S2S.Header[") {
			t.Errorf("%q: faults = %q, want one of S2S.Header", name, got)
		}
	}
	for _, value := range []string{"\r", "\n", "\x00", "\x7f", "a\r\nb: c"} {
		s := issuer("https://sandbox.pismolabs.io")
		s.Header = http.Header{"X-A": {"good", value}}
		if got := faults(t, s.Validate()); !slices.Equal(got, []string{`S2S.Header["X-A"]`}) {
			t.Errorf("value %q: faults = %q, want one of S2S.Header", value, got)
		}
	}
	s := issuer("https://sandbox.pismolabs.io")
	s.Header = http.Header{"user-agent": {"mybank/1.0"}, "X-~!#$%&'*+-.^_`|": {"", "\tü"}, "X-None": nil}
	if err := s.Validate(); err != nil {
		t.Errorf("a valid header: got error %v, want none", err)
	}
}

func TestFields_RefuseDuplicates(t *testing.T) {
	for name, test := range map[string]struct {
		secretField string
		fields      map[string]any
		want        []string
	}{
		"the key":                 {fields: map[string]any{"server_key": ""}, want: []string{`S2S.Fields["server_key"]`}},
		"the account":             {fields: map[string]any{"Account_Id": 1}, want: []string{`S2S.Fields["Account_Id"]`}},
		"the secret":              {fields: map[string]any{"server_secret": ""}, want: []string{`S2S.Fields["server_secret"]`}},
		"the secret, renamed":     {"secret_key", map[string]any{"Secret_Key": ""}, []string{`S2S.Fields["Secret_Key"]`}},
		"the default, if renamed": {"secret_key", map[string]any{"server_secret": ""}, nil},
		"the secret as the key":   {secretField: "SERVER_KEY", want: []string{"S2S.SecretField"}},
		"a function":              {fields: map[string]any{"f": func() {}}, want: []string{`S2S.Fields["f"]`}},
		"others":                  {fields: map[string]any{"a": nil, "b": []any{1.5, "x"}}},
	} {
		s := issuer("https://sandbox.pismolabs.io")
		s.SecretField, s.Fields = test.secretField, test.fields
		if got := faults(t, s.Validate()); !slices.Equal(got, test.want) {
			t.Errorf("%s: faults = %q, want %q", name, got, test.want)
		}
	}
}

// A variable or a file may get its value after the configuration is validated.
func TestValidate_AllowsMissingCredentials(t *testing.T) {
	for name, credentials := range map[string]passport.Credentials{
		"environment": passport.EnvCredentials("PISMOAUTH_TEST_NO_KEY", "PISMOAUTH_TEST_NO_SECRET"),
		"files":       passport.FileCredentials(t.TempDir()+"/key", t.TempDir()+"/secret"),
	} {
		s := issuer("https://sandbox.pismolabs.io")
		s.Credentials = credentials
		if err := s.Validate(); err != nil {
			t.Errorf("%s: got error %v, want none", name, err)
		}
	}
}

func TestValidate_RefusesEmptyCredentials(t *testing.T) {
	for name, credentials := range map[string]passport.Credentials{
		"unset":          {},
		"empty literals": passport.StaticCredentials("", ""),
		"empty names":    passport.EnvCredentials("", ""),
		"empty paths":    passport.FileCredentials("", ""),
	} {
		s := issuer("https://sandbox.pismolabs.io")
		s.Credentials = credentials
		want := []string{"S2S.Credentials.Key", "S2S.Credentials.Secret"}
		if got := faults(t, s.Validate()); !slices.Equal(got, want) {
			t.Errorf("%s: faults = %q, want %q", name, got, want)
		}
	}
}

func TestS2S_NilIsConfigFault(t *testing.T) {
	var s *passport.S2S
	if got := faults(t, s.Validate()); !slices.Equal(got, []string{"S2S"}) {
		t.Errorf("faults = %q, want S2S", got)
	}
	if got := s.Revision(t.Context()); got != "" {
		t.Errorf("got revision %q, want an empty string", got)
	}
	if _, err := tokensource.New(tokensource.Config{Issuer: s}); !errors.Is(err, tokensource.ErrMisconfigured) {
		t.Errorf("New: got error %v, want ErrMisconfigured", err)
	}
}
