// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/pismoauth/pismoauth/caddyplugin"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The keys of these tests. They are made once, because that takes long.
var (
	keyOne = sync.OnceValue(newRSAKey)
	keyTwo = sync.OnceValue(newRSAKey)
)

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func (s *fixture) writeKey(name string, key crypto.PrivateKey) {
	s.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.writeSecret(name, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// openIDCaddyfile returns a Caddyfile whose client has the block openid with
// the given options.
func (s *fixture) openIDCaddyfile(options string) string {
	known := s.pismo.OpenIDIssuer(passport.Key{}, "")
	credentials := s.expand("server_key    {file.$SECRETS/key}\n\t\t\tserver_secret {file.$SECRETS/secret}\n")
	openID := "openid {\n issuer " + known.Issuer + "\n subject " + known.Subject + "\n audience " + known.Audience +
		"\n tenant " + known.TenantID + "\n group pismo-v1:accounts:rw\n" + s.expand(options) + "\n}\n"
	return strings.Replace(s.caddyfile("", byHeader), credentials, openID, 1)
}

func (s *fixture) wantAlice(issued int) {
	s.t.Helper()
	wantStatus(s.t, s.get(alice, withField("X-Account", alice)), http.StatusOK)
	if n := s.pismo.Counts().Issued; n != issued {
		s.t.Errorf("%d tokens were issued, want %d", n, issued)
	}
}

func TestOpenID_ReloadTakesNewKeyFile(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.writeKey("one.pem", keyOne())
	s.writeKey("two.pem", keyTwo())
	s.pismo.RegisterKey(&keyOne().PublicKey)
	s.start(s.openIDCaddyfile("key_file $SECRETS/one.pem"))
	s.wantAlice(1)
	s.reload(s.openIDCaddyfile("key_file $SECRETS/one.pem"))
	s.wantAlice(1) // The client keeps its tokens.
	s.pismo.RegisterKey(&keyTwo().PublicKey)
	s.pismo.WithdrawKey(&keyOne().PublicKey)
	s.reload(s.openIDCaddyfile("key_file $SECRETS/two.pem"))
	s.wantAlice(2)
	if n := s.pismo.Counts().Rejected; n != 0 {
		t.Errorf("%d token requests were refused, want 0", n)
	}
}

func TestOpenID_TokenPathPlaceholder(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.writeKey("key.pem", keyOne())
	s.pismo.RegisterKey(&keyOne().PublicKey)
	t.Setenv("PISMO_TEST_TOKEN_PATH", "passport/v1/oauth2")
	s.start(s.openIDCaddyfile("key_file $SECRETS/key.pem\n token_path {env.PISMO_TEST_TOKEN_PATH}/token"))
	s.wantAlice(1)
}

// The file may also change without a reload.
func TestOpenID_ReadsReplacedKeyFile(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.writeKey("key.pem", keyOne())
	s.pismo.RegisterKey(&keyOne().PublicKey)
	s.start(s.openIDCaddyfile("key_file $SECRETS/key.pem"))
	s.wantAlice(1)
	s.writeKey("key.pem", keyTwo())
	s.pismo.RegisterKey(&keyTwo().PublicKey)
	s.pismo.WithdrawKey(&keyOne().PublicKey)
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", ""), http.StatusNoContent)
	s.wantAlice(2)
}

func TestOpenID_FaultNamesOption(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	t.Cleanup(func() { _ = caddy.Stop() })
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.writeKey("ec.pem", curve)
	s.writeKey("key.pem", keyOne())
	good := s.openIDCaddyfile("key_file $SECRETS/key.pem")
	for name, test := range map[string]struct{ caddyfile, want string }{
		"no key":              {s.openIDCaddyfile(""), "client main openid needs either key_file or signer"},
		"a missing file":      {s.openIDCaddyfile("key_file $SECRETS/none.pem"), `none.pem" cannot be read`},
		"an EC key":           {s.openIDCaddyfile("key_file $SECRETS/ec.pem"), `ec.pem" holds a key that is not RSA`},
		"a long assertion":    {s.openIDCaddyfile("key_file $SECRETS/key.pem\n assertion_lifetime 2h"), "client main: openid: assertion_lifetime: is not"},
		"no issuer":           {strings.Replace(good, " issuer ", " key_id ", 1), "client main: openid: issuer: is not set"},
		"an empty subject":    {strings.Replace(good, " subject ", " subject {env.PISMO_NO_SUCH_VARIABLE} #", 1), "openid: subject: evaluated placeholder"},
		"a server key too":    {strings.Replace(good, "openid {", "server_key {env.HOME}\n openid {", 1), "client main has openid: remove server_key"},
		"a field too":         {strings.Replace(good, "openid {", "field x 1\n openid {", 1), "client main has openid: remove server_key, server_secret, secret_field and field"},
		"an unknown option":   {s.openIDCaddyfile("kid x"), "unrecognized option kid of openid"},
		"a line break":        {strings.Replace(good, " audience ", " audience \"x\ny\"\n key_id ", 1), "openid: audience: holds an unprintable character"},
		"a faulty path":       {s.openIDCaddyfile("key_file $SECRETS/key.pem\n token_path ../x"), "openid: token_path: is not a path"},
		"a faulty key id":     {s.openIDCaddyfile("key_file $SECRETS/key.pem\n key_id \" x\""), "openid: key_id: begins or ends with a space"},
		"a path from nowhere": {s.openIDCaddyfile("key_file $SECRETS/key.pem\n token_path {env.PISMO_NO_SUCH_VARIABLE}"), "openid: token_path: evaluated placeholder"},
		"key_file twice":      {s.openIDCaddyfile("key_file a\n key_file b"), "key_file is set twice"},
		"an argument":         {strings.Replace(good, "openid {", "openid x {", 1), "wrong argument count"},
		"an unknown signer":   {s.openIDCaddyfile("signer nothing"), "pismo.signers.nothing"},
		"a signer and a key":  {s.openIDCaddyfile("signer test one\n key_file x"), "openid needs either key_file or signer"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := load(test.caddyfile); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// No output of Caddy contains the private key, an assertion or a token: not the
// configuration, the log, the metrics, the admin API or an answer.
func TestOpenID_ShowsNoKey(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.writeKey("key.pem", keyOne())
	s.start(s.openIDCaddyfile("key_file $SECRETS/key.pem"))
	refused := s.get(alice, withField("X-Account", alice))
	wantStatus(t, refused, http.StatusBadGateway) // The key is not registered.
	s.pismo.RegisterKey(&keyOne().PublicKey)
	s.reload(s.openIDCaddyfile("key_file $SECRETS/key.pem\n assertion_lifetime 5m")) // Ends the cooldown.
	served := s.get(alice, withField("X-Account", alice))
	wantStatus(t, served, http.StatusOK)
	content, err := os.ReadFile(s.secrets + "/key.pem")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(string(content), "\n")[5]
	for name, text := range map[string]string{
		"log": strings.Join(s.log(), "\n"), "configuration": s.adminSend(http.MethodGet, "/config/", "").body,
		"clients": s.adminSend(http.MethodGet, "/pismo/clients", "").body, "metrics": s.adminSend(http.MethodGet, "/metrics", "").body,
		"refusal": refused.body, "answer": served.body,
	} {
		// Each JWT begins with eyJ, also an assertion.
		if text == "" || strings.Contains(text, line) || strings.Contains(text, keyOne().D.String()) || strings.Contains(text, "eyJ") {
			t.Errorf("the %s is empty, or shows the key, an assertion or a token: %s", name, text)
		}
	}
	if log := strings.Join(s.log(), "\n"); !strings.Contains(log, "the key was refused") {
		t.Errorf("the log does not say that the key was refused: %s", log)
	}
}

// A testSigner is a module in place of the module of a KMS.
type testSigner struct {
	Key string `json:"key,omitempty"`

	closed atomic.Bool
}

func init() { caddy.RegisterModule(new(testSigner)) }

func (*testSigner) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "pismo.signers.test", New: func() caddy.Module { return new(testSigner) }}
}

func (s *testSigner) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.Next(); !d.AllArgs(&s.Key) {
		return d.ArgErr()
	}
	return nil
}

func (s *testSigner) Public() crypto.PublicKey { return keyOne().Public() }

func (s *testSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.closed.Load() {
		return nil, io.ErrClosedPipe
	}
	return keyOne().Sign(random, digest, opts)
}

func (s *testSigner) Cleanup() error {
	s.closed.Store(true)
	return nil
}

var _ caddyplugin.Signer = (*testSigner)(nil)

// The client survives the reload. The signer of the first configuration ends.
func TestOpenID_SignerSurvivesReload(t *testing.T) {
	s := newFixture(t, passporttest.Config{})
	s.pismo.RegisterKey(&keyOne().PublicKey)
	s.start(s.openIDCaddyfile("signer test one"))
	s.wantAlice(1)
	s.reload(s.openIDCaddyfile("signer test one"))
	s.wantAlice(1)
	wantStatus(t, s.adminSend(http.MethodPost, "/pismo/clients/main/invalidate", ""), http.StatusNoContent)
	s.wantAlice(2)
}
