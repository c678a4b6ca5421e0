// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// privateParts returns texts of the private key that must not appear anywhere.
func privateParts(t *testing.T) []string {
	t.Helper()
	key := keyOne()
	der, _ := pem.Decode([]byte(pkcs8(t, key)))
	parts := []string{
		key.D.String(), key.D.Text(16), key.Primes[0].String(), key.Primes[0].Text(16),
		decimal(der.Bytes[100:120]), base64.StdEncoding.EncodeToString(der.Bytes)[200:240],
	}
	return append(parts, sentinel)
}

// decimal returns bytes as fmt prints them.
func decimal(b []byte) string { return strings.Trim(fmt.Sprintf("%d", b), "[]") }

func wantNoKey(t *testing.T, name string, v any, parts []string) {
	t.Helper()
	for _, printed := range prints(v, slices.Concat(verbs, oddVerbs)...) {
		for _, part := range parts {
			if strings.Contains(strings.ToLower(printed), strings.ToLower(part)) {
				t.Errorf("%s leaks: %.300s", name, printed)
			}
		}
	}
}

func TestOpenID_PrintsOnlyItsHost(t *testing.T) {
	file := passport.FileKey(keyFile(t, keyOne()))
	if err := file.Check(t.Context()); err != nil { // Now the key is in memory.
		t.Fatal(err)
	}
	parts := privateParts(t)
	for name, key := range map[string]passport.Key{"file": file, "signer": passport.SignerKey(keyOne())} {
		o := openIDIssuer("https://user:"+sentinel+"@pismo.example/"+sentinel, key)
		o.Header, o.KeyID = http.Header{"X": {sentinel}}, sentinel
		for form, v := range map[string]any{
			"pointer": o, "value": *o, "slice": []*passport.OpenID{o}, "key": key, "key pointer": &key,
			"config": tokensource.Config{Issuer: o}, "fault": o.Validate(), "struct": struct{ Key passport.Key }{key},
		} {
			wantNoKey(t, name+", "+form, v, parts)
		}
		// fmt calls no method of a value in an unexported field.
		wantNoKey(t, name+", unexported", struct{ key passport.Key }{key}, parts)
		if got := fmt.Sprintf("%+v", *o); got != "passport.OpenID(pismo.example)" {
			t.Errorf("printed as %q, want passport.OpenID(pismo.example)", got)
		}
	}
}

// The endpoint returns the assertion in each form that an error could quote.
func TestOpenID_ErrorsHoldNoAssertion(t *testing.T) {
	parts := privateParts(t)
	for _, status := range []int{200, 201, 302, 400, 401, 403, 404, 429, 500} {
		var assertion string
		o := openIDIssuer(serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var fields map[string]string
			_ = json.Unmarshal(body, &fields)
			assertion = fields["token"]
			w.Header().Set("Location", "/"+assertion)
			w.Header().Set("X-Cid", assertion)
			w.Header().Set("Retry-After", assertion)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"message":"`+assertion+`","account_id":"`+assertion+`"}`)
		}), passport.SignerKey(keyOne(), keyTwo()))
		_, err := o.Issue(t.Context(), account(t, "42"))
		if err == nil || assertion == "" {
			t.Fatalf("%d: no error, or no assertion", status)
		}
		segments := strings.Split(assertion, ".")
		wantNoKey(t, fmt.Sprint(status), err, append(parts, segments[1][:20], segments[2][:20]))
	}
}

func FuzzOpenID_Answer(f *testing.F) {
	for _, text := range []string{
		`{"token":"a.b.c","refresh_token":"r","expires_in":"3600"}`, `[{"token":"t"}]`, `{"expires_in":1e400}`, `{"token":{}}`, "<html>", "",
	} {
		f.Add(201, text, "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	key := passport.SignerKey(keyOne())
	f.Fuzz(func(t *testing.T, status int, body, date string) {
		o := openIDIssuer("https://pismo.example", key)
		o.Client = &http.Client{Transport: constant(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: status, Header: http.Header{"Date": {date}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		})}
		grant, err := o.Issue(t.Context(), tokensource.Organization())
		switch {
		case err != nil:
			_ = failure(t, err)
			if len(body) > 60 && strings.Contains(err.Error(), body) {
				t.Errorf("the error holds the answer: %v", err)
			}
		case grant.Token.Reveal() == "":
			t.Error("neither a token nor an error")
		}
	})
}

// A constant is a transport that does not use the network.
type constant func(*http.Request) *http.Response

func (c constant) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.Body.Close()
	return c(r), nil
}
