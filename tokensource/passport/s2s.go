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
	"net/url"
	"strconv"

	"github.com/pismoauth/pismoauth/tokensource"
)

// S2S issues tokens for a server's key and secret: Pismo's server-to-server
// authentication, which its pages also call basic authentication with client
// credentials. It is a [tokensource.Issuer], for the organization and for
// accounts named by their Pismo id; external account ids take OpenID.
//
// BaseURL and Credentials are required. tokensource.New reports what is wrong
// with the rest, and Issue refuses to send anything until it is mended. Once in
// use an S2S must not be changed; then its methods are safe for concurrent use.
//
// Printed, logged or marshalled, an S2S shows the host of its BaseURL only; its
// Credentials stay hidden even in a field that is not exported, where fmt asks
// no value how to print it.
type S2S struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// BaseURL is the address of the Pismo environment, such as
	// "https://sandbox.pismolabs.io"; Pismo tells each customer its own for
	// production. Required. A path is kept as a prefix, for a gateway of your
	// own in between, but "/passport" is not part of it: S2S adds that. It has
	// no user info, no query and no fragment. The scheme is https, unless the
	// host is loopback (localhost, 127.0.0.0/8, ::1).
	BaseURL string

	// Credentials are the key and the secret of the server, read each time a
	// token is issued. Required.
	Credentials Credentials

	// Client makes the requests. It is where a client certificate, a proxy or
	// certificate authorities of your own go, in its Transport. It is never
	// modified, and its CheckRedirect never asked: redirects are not followed,
	// because a 307 would post the secret elsewhere. It must not authenticate
	// its requests with the tokens that are issued here.
	//
	// Nil, or a Client without a Transport, means connections of its own, made
	// like those of transport.NewBase: they take a proxy from the environment,
	// and check HTTP/2 connections by pings.
	//
	// After an exchange that had no whole answer, later ones go out on new
	// connections: it may be the connection that is dead, and not the endpoint.
	// The Transport's own connections are left to those who share them, and it
	// is copied instead. That takes an [*http.Transport], or what
	// [ClientCertificate.RoundTripper] returns. Of any other Transport, the idle
	// connections are closed, if it has a method CloseIdleConnections; see to
	// it that it checks its HTTP/2 connections by pings ([http.HTTP2Config]).
	Client *http.Client

	// SecretField is what the request calls the secret. Empty means
	// "server_secret"; older pages of Pismo's say "secret_key".
	SecretField string

	// Header is sent along, to satisfy a gateway of your own, for example.
	// Fields that decide how the request is framed, understood or
	// authenticated (Content-Type, Accept, Authorization, Host and the like)
	// are refused.
	Header http.Header

	// Fields are sent along in the JSON object of the request. The key, the
	// secret and account_id are refused, in any case.
	Fields map[string]any

	// Bare has tokens sent without "Bearer " before them, as some older
	// clients of Pismo's do. Its OpenAPI files all say Bearer.
	Bare bool

	// DangerouslyAllowHTTP allows a BaseURL with the scheme http whose host is
	// not loopback: everybody on the way can read the secret and the tokens.
	DangerouslyAllowHTTP bool
}

// s2sPath is where Passport takes a key and a secret.
// Source: Pismo's OpenAPI file "Platform authentication".
const s2sPath = "passport/v2/s2s/access-token"

// The fields of the request.
const (
	fieldKey           = "server_key"
	fieldAccount       = "account_id"
	defaultSecretField = "server_secret"
)

// The causes of ErrMisconfigured that are found at an issuance.
var (
	errZeroAccount     = errors.New("the account is not set")
	errExternalAccount = errors.New("server-to-server authentication takes no external account id; OpenID does")
	errUnencodable     = errors.New("a value of S2S.Fields cannot be encoded as JSON any more")
)

// Issue asks Passport for a token. Most code calls [tokensource.Source.Token]
// instead, which keeps the token: each call of Issue is a request.
//
// It sends account_id only for an account, so that the token reaches nothing
// else; without, it reaches the whole organization. The zero account and
// external ones are refused before the credentials are read.
//
// Errors are of type [*tokensource.Error]. Their text says what is wrong, and
// where: it names the field, the environment variable, the file, or the host,
// with the address that was dialled and the fault of a certificate. It holds
// nothing of the request or of the answer, and of the URL only the host. For
// misconfiguration (what Validate finds, or credentials that are missing,
// unreadable, empty or hold characters that do not print) nothing is sent. A
// network failure is ErrTimeout if a deadline has passed, ErrCanceled if ctx was
// canceled, and else ErrUnavailable. All else is up to the answer; the first row
// that applies counts:
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
//	2xx without a token, or one unreadable     malformed_response
//
// HTML (it begins with "<", or its Content-Type says so and it is not a JSON
// object) and a 403 that is not a JSON object are what the web application
// firewall in front of Pismo answers with. A Retry-After is kept for the kinds
// that waiting mends, rate_limited and unavailable. StatusCode is set in each
// case, and CorrelationID is the answer's x-cid.
//
// An answer may be compressed with gzip or deflate, whether it says so or not.
// Grant.Date is its Date and its Age together. An expires_in that makes no sense
// (not a number of seconds from 1 to 86,400) counts as absent.
//
// Passport itself documents 201, 401 and 500.
func (s *S2S) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	req, err := s.request(ctx, account)
	if err != nil {
		return tokensource.Grant{}, err
	}
	grant, err := exchange(s.Client, s.nextTransport(), req, account.Kind())
	if err != nil {
		return tokensource.Grant{}, err
	}
	grant.Bare = s.Bare
	return grant, nil
}

// request returns the request for a token. What may not be sent is not made.
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
	endpoint, err := url.JoinPath(s.BaseURL, s2sPath)
	if err != nil {
		return nil, tokensource.NewError(tokensource.ErrMisconfigured, err) // Not reached: it is valid.
	}
	// The body is not wiped afterwards: a transport may read it for longer
	// than the call lasts. It is not kept either.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, tokensource.NewError(tokensource.ErrMisconfigured, err) // Not reached either.
	}
	maps.Copy(req.Header, s.Header.Clone())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// body returns the JSON object that asks for a token.
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
	// Secrets are full of punctuation. Escaped for HTML it would mean the same
	// to a JSON parser, but not to a firewall that compares.
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

// revisionSeed makes revisions worthless outside of this process.
var revisionSeed = maphash.MakeSeed()

// Revision returns something that changes when the credentials do, so that a
// [tokensource.Source] that was refused tries again at once with new ones. It
// reads them, and reveals nothing: it is a hash under a random key that does
// not leave the process. It is "" if the credentials cannot be read.
func (s *S2S) Revision(ctx context.Context) string {
	if s == nil {
		return ""
	}
	key, secret, err := s.Credentials.read(ctx)
	if err != nil {
		return ""
	}
	// An array: what ends one value and begins the next is part of the hash.
	sum := maphash.Comparable(revisionSeed, [2]string{key.Reveal(), secret.Reveal()})
	return strconv.FormatUint(sum, 16)
}

// String returns the host of the BaseURL. It, and what follows, have a value
// for receiver because fmt is given values as well as pointers.
func (s S2S) String() string {
	u, err := url.Parse(s.BaseURL)
	if err != nil {
		return "passport.S2S(invalid BaseURL)"
	}
	return "passport.S2S(" + u.Host + ")"
}

// Format implements [fmt.Formatter] with what String returns, for every verb.
func (s S2S) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler] with what String returns.
func (s S2S) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer] with what String returns.
func (s S2S) LogValue() slog.Value { return slog.StringValue(s.String()) }
