package middleware_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

const (
	jwtIssuer   = "https://login.example"
	jwtAudience = "https://proxy.example"
	jwtClaim    = "account"
)

// rsaKey is a key pair for all tests: it takes a while to make one.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// hmacKey is a secret of full length.
var hmacKey = []byte("0123456789abcdef0123456789abcdef")

// jwtConfig is a configuration that lacks nothing.
func jwtConfig(method jwt.SigningMethod, key any) middleware.JWTConfig {
	return middleware.JWTConfig{
		Algorithms: []string{method.Alg()},
		Key:        func(*jwt.Token) (any, error) { return key, nil },
		Issuer:     jwtIssuer,
		Audience:   jwtAudience,
		Claim:      jwtClaim,
	}
}

// goodClaims are those of a token that is accepted, but for what edits change.
func goodClaims(edits ...func(jwt.MapClaims)) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss":    jwtIssuer,
		"aud":    jwtAudience,
		"exp":    time.Now().Add(time.Hour).Unix(),
		jwtClaim: alice,
	}
	for _, edit := range edits {
		edit(claims)
	}
	return claims
}

// with sets a claim; nil removes it.
func with(name string, value any) func(jwt.MapClaims) {
	return func(claims jwt.MapClaims) {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
}

// sign returns a JWT.
func sign(tb testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	tb.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		tb.Fatal("SignedString:", err)
	}
	return token
}

func fromJWT(tb testing.TB, config middleware.JWTConfig) middleware.AccountFunc {
	tb.Helper()
	find, err := middleware.FromJWT(config)
	if err != nil {
		tb.Fatal("FromJWT:", err)
	}
	return find
}

// wantUnauthenticated checks that a request with these values of Authorization
// is not let in.
func wantUnauthenticated(t *testing.T, find middleware.AccountFunc, authorization ...string) {
	t.Helper()
	r := inbound(t)
	r.Header["Authorization"] = authorization
	account, err := find(r)
	if !errors.Is(err, middleware.ErrUnauthenticated) || account != (tokensource.Account{}) {
		t.Errorf("got account %q and error %v, want it unauthenticated", account.ID(), err)
	}
}

func TestFromJWT_ReturnsVerifiedAccount(t *testing.T) {
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method       jwt.SigningMethod
		sign, verify any
	}{
		{jwt.SigningMethodHS256, hmacKey, hmacKey},
		{jwt.SigningMethodRS256, rsaKey(), rsaKey().Public()},
		{jwt.SigningMethodPS256, rsaKey(), rsaKey().Public()},
		{jwt.SigningMethodES256, elliptical, elliptical.Public()},
		{jwt.SigningMethodEdDSA, private, public},
		{jwt.SigningMethodRS256, rsaKey(), jwt.VerificationKeySet{Keys: []jwt.VerificationKey{rsaKey().Public()}}},
	} {
		find := fromJWT(t, jwtConfig(test.method, test.verify))
		token := sign(t, test.method, test.sign, goodClaims())
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer  ", "bearer     "} {
			wantAccount(t, find, inbound(t, "Authorization", scheme+token), alice)
		}
	}
}

func TestFromJWT_RefusesUnverifiableToken(t *testing.T) {
	key := rsaKey()
	publicPEM := publicKeyPEM(t, key)
	good := sign(t, jwt.SigningMethodRS256, key, goodClaims())
	parts := strings.Split(good, ".")
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	forged := encode([]byte(`{"iss":"` + jwtIssuer + `","aud":"` + jwtAudience + `","exp":99999999999,"account":"` + bob + `"}`))
	rs256 := func(edits ...func(jwt.MapClaims)) string {
		return sign(t, jwt.SigningMethodRS256, key, goodClaims(edits...))
	}
	find := fromJWT(t, jwtConfig(jwt.SigningMethodRS256, key.Public()))
	wantAccount(t, find, inbound(t, "Authorization", "Bearer "+good), alice)

	for name, token := range map[string]string{
		"another's signature":             sign(t, jwt.SigningMethodRS256, another, goodClaims()),
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"other claims":                    parts[0] + "." + forged + "." + parts[2],
		"alg none":                        sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, goodClaims()),
		"alg None":                        encode([]byte(`{"alg":"None","typ":"JWT"}`)) + "." + forged + ".",
		"alg nOnE with a signature":       encode([]byte(`{"alg":"nOnE"}`)) + "." + forged + "." + parts[2],
		"no alg":                          encode([]byte(`{"typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"alg a number":                    encode([]byte(`{"alg":1}`)) + "." + parts[1] + "." + parts[2],
		"the public key as HMAC secret":   sign(t, jwt.SigningMethodHS256, publicPEM, goodClaims()),
		"its DER as HMAC secret":          sign(t, jwt.SigningMethodHS256, publicKeyDER(t, key), goodClaims()),
		"an algorithm not listed":         sign(t, jwt.SigningMethodRS512, key, goodClaims()),
		"a padding not listed":            sign(t, jwt.SigningMethodPS256, key, goodClaims()),
		"expired":                         rs256(with("exp", time.Now().Add(-time.Second).Unix())),
		"no exp":                          rs256(with("exp", nil)),
		"exp null":                        rs256(with("exp", json.RawMessage("null"))),
		"exp 0":                           rs256(with("exp", 0)),
		"exp a string":                    rs256(with("exp", "99999999999")),
		"not valid yet":                   rs256(with("nbf", time.Now().Add(time.Hour).Unix())),
		"another issuer":                  rs256(with("iss", "https://login.example.evil")),
		"no issuer":                       rs256(with("iss", nil)),
		"a list of issuers":               rs256(with("iss", []string{jwtIssuer})),
		"another audience":                rs256(with("aud", "https://other.example")),
		"other audiences":                 rs256(with("aud", []string{"https://other.example", jwtAudience + "/"})),
		"no audience":                     rs256(with("aud", nil)),
		"an empty audience":               rs256(with("aud", []string{})),
		"claims that are null":            parts[0] + "." + encode([]byte("null")) + "." + parts[2],
		"claims that are a list":          parts[0] + "." + encode([]byte("[]")) + "." + parts[2],
		"two parts":                       parts[0] + "." + parts[1],
		"four parts":                      good + "." + parts[2],
		"encrypted, five parts":           good + "." + parts[1] + "." + parts[2],
		"not base64":                      parts[0] + ".*." + parts[2],
		"empty":                           "",
		"another token after it":          good + ", Bearer " + good,
		"a key of its own in the header":  signWithHeader(t, another, map[string]any{"jwk": map[string]any{"kty": "oct", "k": "AA"}}),
		"a reference to a key of its own": signWithHeader(t, another, map[string]any{"jku": "https://evil.example/keys", "kid": "../../dev/null"}),
	} {
		t.Run(name, func(t *testing.T) { wantUnauthenticated(t, find, "Bearer "+token) })
	}
}

// signWithHeader returns a token with a header of the attacker's, signed with their key.
func signWithHeader(t *testing.T, attacker *rsa.PrivateKey, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, goodClaims())
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(attacker)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func publicKeyDER(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func publicKeyPEM(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicKeyDER(t, key)})
}

func TestFromJWT_RequiresOneBearerToken(t *testing.T) {
	find := fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	good := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())
	for name, values := range map[string][]string{
		"none":             nil,
		"no value":         {},
		"an empty value":   {""},
		"only a scheme":    {"Bearer"},
		"only its space":   {"Bearer "},
		"no scheme":        {good},
		"no space":         {"Bearer" + good},
		"only spaces":      {"Bearer    "},
		"a space in front": {" Bearer " + good},
		"more after it":    {"Bearer " + good + " x"},
		"a tab after it":   {"Bearer \t" + good},
		"a wide space":     {"Bearer \u00a0" + good},
		"Basic":            {"Basic " + good},
		"DPoP":             {"DPoP " + good},
		"another, longer":  {"Bearers " + good},
		"a tab":            {"Bearer\t" + good},
		"two":              {"Bearer " + good, "Bearer " + good},
		"another first":    {"Basic dTpw", "Bearer " + good},
		"another after it": {"Bearer " + good, "Basic dTpw"},
		"a parameter":      {`Bearer token="` + good + `"`},
	} {
		t.Run(name, func(t *testing.T) { wantUnauthenticated(t, find, values...) })
	}
}

func TestFromJWT_InvalidAccountIsForbidden(t *testing.T) {
	find := fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	for name, test := range map[string]struct{ claim, want string }{
		"a string":                 {`"102681871"`, alice},
		"a number":                 {`102681871`, alice},
		"a number beyond 2^53":     {`9007199254740993`, "9007199254740993"},
		"the largest":              {`9223372036854775807`, "9223372036854775807"},
		"one more":                 {`9223372036854775808`, ""},
		"twenty digits":            {`10000000000000000000`, ""},
		"null":                     {`null`, ""},
		"an empty string":          {`""`, ""},
		"zero":                     {`0`, ""},
		"a negative number":        {`-102681871`, ""},
		"a fraction":               {`102681871.0`, ""},
		"an exponent":              {`1e3`, ""},
		"an exponent in a string":  {`"1e3"`, ""},
		"a sign in a string":       {`"+1"`, ""},
		"a list of one":            {`["102681871"]`, ""},
		"a list of one number":     {`[102681871]`, ""},
		"an object":                {`{"id":"102681871"}`, ""},
		"a boolean":                {`true`, ""},
		"digits of another script": {`"\u0661"`, ""},
		"a NUL after it":           {`"102681871\u0000"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			token := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, json.RawMessage(test.claim))))
			wantAccount(t, find, inbound(t, "Authorization", "Bearer "+token), test.want)
		})
	}
	missing := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, nil)))
	_, err := find(inbound(t, "Authorization", "Bearer "+missing))
	check(t, "a token without the claim is forbidden", errors.Is(err, middleware.ErrForbidden), true)
	check(t, "and authenticated", errors.Is(err, middleware.ErrUnauthenticated), false)
}

func FuzzAClaimNamesAnAccountInNoOtherForm(f *testing.F) {
	for _, id := range ids {
		f.Add(id)
		f.Add(`"` + id + `"`)
	}
	find := fromJWT(f, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	f.Fuzz(func(t *testing.T, claim string) {
		var text string
		switch {
		case !json.Valid([]byte(claim)):
			encoded, err := json.Marshal(claim)
			if err != nil {
				t.Fatal(err)
			}
			claim, text = string(encoded), claim
		case json.Unmarshal([]byte(claim), &text) != nil:
			text = strings.Trim(claim, " \t\r\n")
		}
		want := ""
		if canonical(text) {
			want = text
		}
		claims := jwt.MapClaims{"iss": jwtIssuer, "aud": jwtAudience, "exp": int64(1) << 40, jwtClaim: json.RawMessage(claim)}
		wantAccount(t, find, inbound(t, "Authorization", "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, claims)), want)
	})
}

func TestJWTConfig_OptionsMayAddLeeway(t *testing.T) {
	config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
	config.Options = []jwt.ParserOption{jwt.WithLeeway(time.Minute)}
	token := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with("exp", time.Now().Add(-10*time.Second).Unix())))
	wantAccount(t, fromJWT(t, config), inbound(t, "Authorization", "Bearer "+token), alice)
}

// Everybody knows the empty secret, which is what a variable holds that nobody
// has set.
func TestJWTConfig_EmptyKeyVerifiesNothing(t *testing.T) {
	forged := "Bearer " + sign(t, jwt.SigningMethodHS256, []byte{}, goodClaims())
	for name, key := range map[string]any{
		"nil":       nil,
		"nil bytes": []byte(nil),
		"no bytes":  []byte{},
		"a string":  "",
		"in a set":  jwt.VerificationKeySet{Keys: []jwt.VerificationKey{hmacKey, []byte{}}},
		"no set":    jwt.VerificationKeySet{},
	} {
		t.Run(name, func(t *testing.T) {
			wantUnauthenticated(t, fromJWT(t, jwtConfig(jwt.SigningMethodHS256, key)), forged)
		})
	}
}

func TestJWTConfig_KeyErrorVerifiesNothing(t *testing.T) {
	config := jwtConfig(jwt.SigningMethodHS256, nil)
	config.Key = func(*jwt.Token) (any, error) { return hmacKey, errors.New("unknown kid") }
	wantUnauthenticated(t, fromJWT(t, config), "Bearer "+sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims()))
}

// With them, a client could sign its own tokens.
func TestJWTConfig_RefusesUnsafeAlgorithms(t *testing.T) {
	for name, algorithms := range map[string][]string{
		"none":                  {"none"},
		"none among others":     {"RS256", "none"},
		"unknown":               {"RS257"},
		"of another case":       {"rs256"},
		"empty":                 {""},
		"HMAC with RSA":         {"RS256", "HS256"},
		"HMAC with ECDSA":       {"HS512", "ES256"},
		"HMAC with EdDSA":       {"HS256", "HS384", "EdDSA"},
		"HMAC with RSA and PSS": {"PS256", "RS256", "HS256"},
	} {
		t.Run(name, func(t *testing.T) {
			config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
			config.Algorithms = algorithms
			_, err := middleware.FromJWT(config)
			var fault *tokensource.ConfigError
			if !errors.As(err, &fault) || fault.Field != "JWTConfig.Algorithms" {
				t.Errorf("got %v, want a fault of Algorithms", err)
			}
		})
	}
	for _, algorithms := range [][]string{{"HS256", "HS384", "HS512"}, {"RS256", "ES256", "PS512", "EdDSA"}} {
		config := jwtConfig(jwt.SigningMethodHS256, hmacKey)
		config.Algorithms = algorithms
		fromJWT(t, config)
	}
}

// The whole way: each client reaches what is theirs, and the platform never
// sees what they came with.
func TestFromJWT_ClientReachesOnlyItsAccount(t *testing.T) {
	p := newPlatform(t, passporttest.Config{})
	s := serve(t, p.proxy(t, func(c *middleware.ProxyConfig) {
		c.Account = fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	}))
	token := func(account string) string {
		return "Bearer " + sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, account)))
	}
	for _, client := range []string{alice, bob} {
		for _, account := range []string{alice, bob} {
			r := s.get(t, "/v1/accounts/"+account, "Authorization", token(client))
			if client == account {
				check(t, "status of one's own", r.status, http.StatusOK)
				check(t, "body", r.body, `{"account_id":`+account+`,"status":"NORMAL"}`)
			} else {
				check(t, "status of another's", r.status, http.StatusUnauthorized)
				check(t, "another's data", strings.Contains(r.body, "NORMAL"), false)
			}
		}
		check(t, "status of the organization", s.get(t, "/v1/organization", "Authorization", token(client)).status, http.StatusUnauthorized)
	}
	r := s.get(t, "/v1/accounts/"+alice)
	wantProblem(t, r, http.StatusUnauthorized, "unauthenticated")
	check(t, "WWW-Authenticate", r.header.Get("WWW-Authenticate"), "Bearer")
	for reason, n := range p.Counts().Refused {
		if reason != passporttest.ReasonAccount {
			t.Errorf("%d requests were refused: %s", n, reason)
		}
	}
	check(t, "tokens issued", p.Counts().Issued, 2)
}
