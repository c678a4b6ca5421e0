// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"

	"github.com/pismoauth/pismoauth/tokensource"
)

// S2S issues tokens for a server's key and secret. This is Pismo's
// server-to-server authentication, which its pages also call basic
// authentication with client credentials. S2S is a [tokensource.Issuer] for the
// organization and for accounts named by their Pismo id. External account ids
// need [OpenID].
//
// BaseURL and Credentials are required. tokensource.New reports every fault.
// Issue sends nothing while S2S has a fault. As long as nobody changes an S2S,
// its methods are safe for concurrent use.
//
// Printed, logged or marshalled, an S2S shows only the host of its BaseURL. Its
// Credentials stay hidden even if the S2S is in an unexported field, where fmt
// does not call the methods of a value.
type S2S struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// BaseURL is the address of the Pismo environment, such as
	// "https://sandbox.pismolabs.io". Pismo gives each customer a production
	// address. Required. A path is kept as a prefix, for a gateway of your own.
	// Leave out "/passport", which S2S adds. BaseURL must not have user info, a
	// query or a fragment. The scheme must be https, unless the host is loopback
	// (localhost, 127.0.0.0/8, ::1) or DangerouslyAllowHTTP is set.
	BaseURL string

	// Credentials are the key and the secret of the server. S2S reads them for
	// each token request. Required.
	Credentials Credentials

	// Client sends the requests. Its Transport can have a client certificate, a
	// proxy or certificate authorities of your own. S2S never changes the
	// Client. S2S follows no redirects, because a 307 would send the secret to
	// another address, and never calls the Client's CheckRedirect. The Client
	// must not authenticate its requests with the tokens of this issuer.
	//
	// Nil, or a Client without a Transport, means that the S2S has its own
	// connections, with the settings of transport.NewBase: a proxy from the
	// environment, and pings on HTTP/2 connections.
	//
	// After an exchange without a complete answer, S2S opens new connections: the
	// connection may be dead although the endpoint is not. It does not close the
	// Transport's own connections, which others may share, but copies the
	// Transport. This needs an [*http.Transport], or the RoundTripper of a
	// [ClientCertificate]. With any other Transport, S2S only closes the idle
	// connections, if the Transport has a method CloseIdleConnections. Configure
	// such a Transport to check HTTP/2 connections by pings ([http.HTTP2Config]).
	Client *http.Client

	// SecretField is the name of the request's field for the secret. Empty means
	// "server_secret". Older pages of Pismo say "secret_key".
	SecretField string

	// Header is added to the request, for example for a gateway of your own.
	// Fields for the framing, the format or the authentication of the request
	// (Content-Type, Accept, Authorization, Host and the like) are not allowed.
	Header http.Header

	// Fields are added to the JSON object of the request. The names of the key,
	// of the secret and of account_id are not allowed, in upper or lower case.
	Fields map[string]any

	// Bare makes requests to the resource API carry the token without a scheme.
	// Some older clients of Pismo do so. All of Pismo's OpenAPI files say
	// Bearer.
	Bare bool

	// DangerouslyAllowHTTP allows a BaseURL with the scheme http whose host is
	// not loopback. Anyone on the network path can then read the secret and the
	// tokens.
	DangerouslyAllowHTTP bool
}

// s2sPath is the path of Passport's token endpoint for a key and a secret.
// Source: Pismo's OpenAPI file "Platform authentication".
const s2sPath = "passport/v2/s2s/access-token"

// The fields of the request.
const (
	fieldKey           = "server_key"
	fieldAccount       = "account_id"
	defaultSecretField = "server_secret"
)

// The causes of ErrMisconfigured that Issue finds.
var (
	errZeroAccount     = errors.New("the account is not set")
	errExternalAccount = errors.New("server-to-server authentication does not support external account ids, use a Pismo account id")
	errUnencodable     = errors.New("a value of S2S.Fields can no longer be encoded as JSON, do not change it while S2S is in use")
)

// Issue requests a token from Passport. Each call sends a request. Most code
// calls [tokensource.Source.Token] instead, which keeps the token.
//
// For an account, Issue sends account_id, and the token is valid for that
// account only. For the organization, Issue sends no account_id, and the token
// is valid for the whole organization. Issue refuses the zero account and
// external accounts before it reads the credentials.
//
// Errors are of type [*tokensource.Error]. Their text says what is wrong and
// where. It names the faulty field, environment variable or file. For a network
// failure it names the host, the dialled address, and the fault of a
// certificate. It holds no part of the request or of the answer, and only the
// host of the URL.
//
// Issue sends nothing if S2S is misconfigured: if Validate finds a fault, or if
// a credential is missing, unreadable, empty, or holds unprintable characters.
// A network failure is ErrTimeout if a deadline has passed, ErrCanceled if ctx
// was canceled, and ErrUnavailable otherwise. In all other cases the answer
// decides. The first matching row applies:
//
//	429                                        rate_limited
//	408, 5xx                                   unavailable
//	3xx, and 101                               malformed_response
//	an HTML page with any other status         unavailable
//	403 without a JSON object                  unavailable
//	more than 64 KiB                           malformed_response
//	401, 403     for the organization          credentials_rejected
//	             for an account                account_rejected
//	400, 404, 422
//	  with a JSON object, for an account       account_rejected
//	any other status but 2xx                   malformed_response
//	2xx without a token that can be read       malformed_response
//
// An HTML page and a 403 without a JSON object are answers of the web
// application firewall in front of Pismo. A body is HTML if it begins with "<",
// or if its Content-Type says HTML and it is not a JSON object. A Retry-After
// is kept for rate_limited and unavailable, since only these pass with time.
// StatusCode is set in each case, and CorrelationID is the answer's x-cid if
// that looks like an id.
//
// An answer may be compressed with gzip or deflate, with or without a
// Content-Encoding. Grant.Date is the sum of the answer's Date and Age. An
// expires_in that is not a number of seconds from 1 to 86,400 counts as absent.
//
// Passport itself documents 201, 401 and 500.
func (s *S2S) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	req, err := s.request(ctx, account)
	if err != nil {
		return tokensource.Grant{}, err
	}
	grant, err := exchange(s.Client, nextTransport(s, s.Client), req, account.Kind())
	if err != nil {
		return tokensource.Grant{}, err
	}
	grant.Bare = s.Bare
	return grant, nil
}

// request returns the request for a token.
func (s *S2S) request(ctx context.Context, account tokensource.Account) (*http.Request, error) {
	switch account.Kind() {
	case tokensource.KindInvalid:
		return nil, explainConstant(tokensource.ErrMisconfigured, errZeroAccount)
	case tokensource.KindExternalAccount:
		return nil, explainConstant(tokensource.ErrMisconfigured, errExternalAccount)
	}
	if err := s.Validate(); err != nil {
		return nil, tokensource.NewError(tokensource.ErrMisconfigured, err)
	}
	key, secret, err := s.Credentials.read(ctx)
	if err != nil {
		return nil, err
	}
	body, err := s.body(key, secret, account)
	if err != nil {
		return nil, explainConstant(tokensource.ErrMisconfigured, errUnencodable)
	}
	return tokenRequest(ctx, s.BaseURL, s2sPath, s.Header, body)
}

// body returns the JSON object of a token request.
func (s *S2S) body(key, secret tokensource.Secret, account tokensource.Account) ([]byte, error) {
	fields := make(map[string]any, len(s.Fields)+3)
	maps.Copy(fields, s.Fields)
	fields[fieldKey] = key.Reveal()
	fields[s.secretField()] = secret.Reveal()
	if account.Kind() == tokensource.KindAccount {
		fields[fieldAccount] = json.Number(account.ID()) // A number, exact to the last digit.
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	// Secrets are full of punctuation. A JSON parser undoes the escaping for
	// HTML. A firewall that compares the text of secrets may not.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (s *S2S) secretField() string {
	if s.SecretField == "" {
		return defaultSecretField
	}
	return s.SecretField
}

// revisionSeed makes revisions meaningless outside this process.
var revisionSeed = maphash.MakeSeed()

// Revision returns a string that changes when the credentials change, so that a
// [tokensource.Source] tries again at once with new credentials after a
// refusal. It reads the credentials and reveals nothing about them: the
// revision is a hash with a random key that does not leave the process. It
// returns "" if the credentials cannot be read.
func (s *S2S) Revision(ctx context.Context) string {
	if s == nil {
		return ""
	}
	key, secret, err := s.Credentials.read(ctx)
	if err != nil {
		return ""
	}
	// The array makes the boundary between key and secret a part of the hash.
	sum := maphash.Comparable(revisionSeed, [2]string{key.Reveal(), secret.Reveal()})
	return strconv.FormatUint(sum, 16)
}

// Scope returns the values that, beside the credentials, determine the tokens:
// the kind of the issuer, and the base URL. Package fleet never shares a token
// between two scopes. If Fields or Header determine the tokens too, say so in
// fleet.Config.Scope. An issuer of your own that wraps an S2S must have a
// method Scope that returns this value.
func (s *S2S) Scope() string { return scopeOf("S2S", s.BaseURL) }

// String returns "passport.S2S(host)", with the host of the BaseURL. The
// methods for printing have a value receiver, because programs print S2S values
// as well as pointers.
func (s S2S) String() string { return describe("S2S", s.BaseURL) }

// Format implements [fmt.Formatter]: every verb prints the result of String.
func (s S2S) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler] with the result of String.
func (s S2S) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer] with the result of String.
func (s S2S) LogValue() slog.Value { return slog.StringValue(s.String()) }
