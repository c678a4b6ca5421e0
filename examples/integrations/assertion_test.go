// SPDX-License-Identifier: Apache-2.0

package integrations

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// An independent decoder verifies and reads the assertions of passport.OpenID.
func TestOpenID_AgreesWithJWX(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	assertions := make(chan []byte, 1)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Token string `json:"token"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		assertions <- []byte(body.Token)
		_, _ = io.WriteString(w, `{"token":"x"}`)
	}))
	t.Cleanup(endpoint.Close)
	for i := range 50 {
		text := fmt.Sprintf("%c<&>\"\\ é %d", rune(0xc0+i*7), i) // These are letters.
		issuer := &passport.OpenID{
			BaseURL: endpoint.URL, Key: passport.SignerKey(key), KeyID: text,
			Issuer: "iss " + text, Subject: "sub " + text, Audience: "aud " + text, TenantID: "TN-" + text, Group: "group " + text,
			AssertionLifetime: time.Duration(i+1) * time.Minute,
		}
		account, err := tokensource.ParseAccountID(fmt.Sprint(1 + i*184467440737095516))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := issuer.Issue(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		compare(t, <-assertions, &key.PublicKey, issuer, account)
	}
}

func compare(t *testing.T, assertion []byte, key *rsa.PublicKey, issuer *passport.OpenID, account tokensource.Account) {
	t.Helper()
	message, err := jws.Parse(assertion)
	if err != nil {
		t.Fatal(err)
	}
	header := message.Signatures()[0].ProtectedHeaders()
	kid, _ := header.KeyID()
	typ, _ := header.Type()
	if kid != issuer.KeyID || typ != "JWT" || len(header.Keys()) != 3 {
		t.Errorf("got the header fields %v, want alg, kid and typ", header.Keys())
	}
	token, err := jwt.Parse(assertion, jwt.WithKey(jwa.RS256(), key), jwt.WithValidate(true),
		jwt.WithIssuer(issuer.Issuer), jwt.WithSubject(issuer.Subject), jwt.WithAudience(issuer.Audience))
	if err != nil {
		t.Fatal(err)
	}
	var tenant, uid string
	var group map[string]any
	for name, target := range map[string]any{"tenant_id": &tenant, "uid": &uid, "pismo": &group} {
		if err := token.Get(name, target); err != nil {
			t.Fatal(err)
		}
	}
	issued, _ := token.IssuedAt()
	expires, _ := token.Expiration()
	if tenant != issuer.TenantID || uid != account.ID() || group["group"] != issuer.Group || len(group) != 1 ||
		expires.Sub(issued) != issuer.AssertionLifetime || len(token.Keys()) != 8 {
		t.Errorf("claims %v: tenant %q, uid %q, group %v, life %s", token.Keys(), tenant, uid, group, expires.Sub(issued))
	}
}
