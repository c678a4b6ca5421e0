// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// grantHandler answers like Passport. It returns a JWT for the requested
// account if the secret is right.
func grantHandler(t *testing.T, secret string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Secret  string      `json:"server_secret"`
			Account json.Number `json:"account_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if body.Secret != secret {
			answer(http.StatusUnauthorized, refusal, "x-cid", "cid-1")(w, r)
			return
		}
		named := ""
		if body.Account != "" {
			named = `,"account_id":` + body.Account.String()
		}
		answer(http.StatusCreated, `{"token":"`+signed(t, body.Account.String())+`"`+named+`}`)(w, r)
	}
}

// signed returns a JWT like those of Pismo: HS512, with a lifetime of 600 s.
func signed(t *testing.T, account string) string {
	t.Helper()
	now := time.Now().Unix()
	claims := jwt.MapClaims{"iss": "Passport", "iat": now, "exp": now + 600}
	if account != "" {
		claims["account-id"] = account
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS512, claims).SignedString([]byte("only Pismo knows"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newSource(t *testing.T, s *passport.S2S) *tokensource.Source {
	t.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: s})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestSource_IssuesOncePerAccount(t *testing.T) {
	var asked atomic.Int32
	handler := grantHandler(t, sampleSecret)
	source := newSource(t, issuer(serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		handler(w, r)
	})))
	accounts := []tokensource.Account{tokensource.Organization(), account(t, "102681871"), account(t, "9223372036854775807")}
	var wg sync.WaitGroup
	for range 8 {
		for _, account := range accounts {
			wg.Go(func() {
				token, err := source.Token(t.Context(), account)
				if err != nil {
					t.Error(err)
					return
				}
				if token.Lifetime() != 10*time.Minute {
					t.Errorf("lifetime = %v, want 10m", token.Lifetime())
				}
				if named, _ := token.Claims()["account-id"].(string); named != account.ID() {
					t.Error("the token is for another account")
				}
				header := make(http.Header)
				token.SetAuthHeader(header)
				if want := "Bearer " + token.Reveal(); header.Get("Authorization") != want {
					t.Error("the header does not hold the token")
				}
			})
		}
	}
	wg.Wait()
	if n := asked.Load(); int(n) != len(accounts) {
		t.Errorf("asked %d times for %d accounts, want once for each", n, len(accounts))
	}
}

func TestSource_SendsBareToken(t *testing.T) {
	s := issuer(serve(t, grantHandler(t, sampleSecret)))
	s.Bare = true
	token, err := newSource(t, s).Token(t.Context(), tokensource.Organization())
	if err != nil {
		t.Fatal(err)
	}
	header := make(http.Header)
	token.SetAuthHeader(header)
	if header.Get("Authorization") != token.Reveal() {
		t.Error("the header holds more than the token")
	}
}

func TestSource_RefusesTokenOfAnotherAccount(t *testing.T) {
	for name, body := range map[string]string{
		"in a number":         `{"token":"t","account_id":2}`,
		"in a string":         `{"token":"t","account_id":"2"}`,
		"one digit more":      `{"token":"t","account_id":11}`,
		"in another notation": `{"token":"t","account_id":2.0}`,
		"in the token":        `{"token":"` + signed(t, "2") + `","account_id":1}`,
	} {
		source := newSource(t, issuer(serve(t, answer(http.StatusCreated, body))))
		_, err := source.Token(t.Context(), account(t, "1"))
		if !errors.Is(err, tokensource.ErrAccountMismatch) {
			t.Errorf("%s: got error %v, want account_mismatch", name, err)
		}
	}
	for _, body := range []string{`{"token":"t","account_id":2}`, `{"token":"t","external_account_id":"x"}`} {
		source := newSource(t, issuer(serve(t, answer(http.StatusCreated, body))))
		_, err := source.Token(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrAccountMismatch)
	}
}

func TestSource_ErrorNamesCause(t *testing.T) {
	source := newSource(t, issuer(serve(t, answer(http.StatusTooManyRequests, "", "Retry-After", "7", "x-cid", "cid-1"))))
	_, err := source.Token(t.Context(), tokensource.Organization())
	failure := failedWith(t, err, tokensource.ErrRateLimited)
	if failure.CorrelationID != "cid-1" || failure.StatusCode != http.StatusTooManyRequests {
		t.Errorf("CorrelationID = %q, StatusCode = %d, want cid-1 and 429", failure.CorrelationID, failure.StatusCode)
	}
	if failure.RetryAfter <= 6*time.Second || failure.RetryAfter > 7*time.Second {
		t.Errorf("RetryAfter = %v, want 6s to 7s", failure.RetryAfter)
	}
}

func TestSource_PicksUpRotatedSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "secret")
		writeFile(t, path, "revoked\n")
		s := issuer("http://127.0.0.1")
		s.Client = overPipe(t, grantHandler(t, sampleSecret))
		s.Credentials.Secret = passport.File(path)
		source := newSource(t, s)

		for cooldown := time.Duration(0); cooldown < time.Minute; { // The cooldown grows to five minutes.
			time.Sleep(cooldown)
			_, err := source.Token(t.Context(), tokensource.Organization())
			cooldown = failedWith(t, err, tokensource.ErrCredentialsRejected).RetryAfter
		}

		writeFile(t, path, sampleSecret+"\n")
		time.Sleep(time.Second)
		if _, err := source.Token(t.Context(), tokensource.Organization()); err != nil {
			t.Errorf("with the new secret: got error %v, want a token", err)
		}
	})
}

func TestSource_StuckEndpointTimesOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := issuer("http://127.0.0.1")
		s.Client = overPipe(t, func(_ http.ResponseWriter, r *http.Request) { awaitDisconnect(r) })
		start := time.Now()
		_, err := newSource(t, s).Token(t.Context(), tokensource.Organization())
		wantKind(t, err, tokensource.ErrTimeout)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
	})
}

func TestSource_PrintsNoIssuer(t *testing.T) {
	s := s2sWithSentinels("https://sandbox.pismolabs.io")
	source := newSource(t, s)
	for _, printed := range prints(source, "%v", "%+v", "%#v") {
		if strings.Contains(printed, sentinel) {
			t.Errorf("leaks: %s", printed)
		}
	}
	if printed := fmt.Sprintf("%+v", tokensource.Config{Issuer: s}); !strings.Contains(printed, "passport.S2S(sandbox.pismolabs.io)") {
		t.Errorf("printed as %s, want passport.S2S(sandbox.pismolabs.io) in it", printed)
	}
}
