// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

const tokenPath = "/passport/v2/s2s/access-token"

// forEachServer runs a test with a Server that listens. It runs the test again
// with a Server that is reached through its RoundTripper.
func forEachServer(t *testing.T, config func() passporttest.Config, test func(t *testing.T, s *passporttest.Server)) {
	t.Helper()
	t.Run("over HTTP", func(t *testing.T) { test(t, passporttest.NewServer(t, config())) })
	t.Run("in process", func(t *testing.T) { test(t, passporttest.NewInProcess(t, config())) })
}

func zeroConfig() passporttest.Config { return passporttest.Config{} }

// An answer is a response with its complete body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) field(t *testing.T, name string) any {
	t.Helper()
	fields := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		t.Fatalf("the answer %q is not a JSON object: %v", a.body, err)
	}
	return fields[name]
}

// send sends a request and reads the answer. It returns an error of either
// step.
func send(t *testing.T, client *http.Client, r *http.Request) (answer, error) {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, err
}

func request(t *testing.T, s *passporttest.Server, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newTokenRequest returns a token request. The account "" means the
// organization.
func newTokenRequest(t *testing.T, s *passporttest.Server, account string) *http.Request {
	t.Helper()
	fields := map[string]any{"server_key": s.ServerKey(), "server_secret": s.ServerSecret()}
	if account != "" {
		fields["account_id"] = json.Number(account)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, s, http.MethodPost, tokenPath, string(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// requestToken sends a token request.
func requestToken(t *testing.T, s *passporttest.Server, account string) answer {
	t.Helper()
	a, err := send(t, s.Client(), newTokenRequest(t, s, account))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// An outcome is an answer or an error.
type outcome struct {
	answer
	err error
}

// sendInBackground sends a request on another goroutine.
func sendInBackground(t *testing.T, s *passporttest.Server, r *http.Request) <-chan outcome {
	t.Helper()
	ended := make(chan outcome, 1)
	go func() {
		a, err := send(t, s.Client(), r)
		ended <- outcome{a, err}
	}()
	return ended
}

// await waits until the counts are reached.
func await(t *testing.T, s *passporttest.Server, reached func(passporttest.Counts) bool) {
	t.Helper()
	if err := s.Await(t.Context(), reached); err != nil {
		t.Fatal(err)
	}
}

// newToken returns a new token for an account. The account "" means the
// organization.
func newToken(t *testing.T, s *passporttest.Server, account string) string {
	t.Helper()
	a := requestToken(t, s, account)
	if a.status != http.StatusCreated {
		t.Fatalf("a token request was answered %d %s", a.status, a.body)
	}
	return a.field(t, "token").(string)
}

// do sends a resource request with a token.
func do(t *testing.T, s *passporttest.Server, token, method, path, body string) answer {
	t.Helper()
	r := request(t, s, method, path, body)
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get sends a GET request with a token, and returns the status.
func get(t *testing.T, s *passporttest.Server, token, path string) int {
	t.Helper()
	return do(t, s, token, http.MethodGet, path, "").status
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// claims returns the header and the claims of a JWT.
func claims(t *testing.T, token string) (header map[string]any, claims jwt.MapClaims) {
	t.Helper()
	claims = jwt.MapClaims{}
	parsed, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(token, claims)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header, claims
}

func newSource(t *testing.T, s *passporttest.Server) *tokensource.Source {
	t.Helper()
	src, err := tokensource.New(tokensource.Config{Issuer: s.Issuer()})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func account(t *testing.T, id string) tokensource.Account {
	t.Helper()
	a, err := tokensource.ParseAccountID(id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func isConfigError(err error, field string) bool {
	e, ok := errors.AsType[*tokensource.ConfigError](err)
	return ok && e.Field == field
}

// sortedKeys returns the keys of a map in alphabetical order.
func sortedKeys(m map[string]any) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}

// integer returns a numeric claim. It fails the test if the claim has a
// fraction.
func integer(t *testing.T, claim any) int64 {
	t.Helper()
	n, err := claim.(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}
