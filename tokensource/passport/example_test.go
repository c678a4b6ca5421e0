// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// A server stands for Pismo. The program requests a token for one account.
func Example() {
	pismo := httptest.NewServer(answer(http.StatusCreated, `{"token":"example","account_id":102681871}`))
	defer pismo.Close()

	source, err := tokensource.New(tokensource.Config{
		Issuer: &passport.S2S{
			BaseURL:     pismo.URL, // "https://sandbox.pismolabs.io"
			Credentials: passport.StaticCredentials("5d8252ea2e6729223f30d477d79a5c3cb45f8e03", "not in a program, please"),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	account, err := tokensource.ParseAccountID("102681871")
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background(), account)
	if err != nil {
		fmt.Println(err)
		return
	}
	header := make(http.Header)
	token.SetAuthHeader(header)
	fmt.Println(header.Get("Authorization"))
	// Output: Bearer example
}

// New reports all faults at once, before it sends a request.
func ExampleS2S_incorrect() {
	_, err := tokensource.New(tokensource.Config{
		Issuer: &passport.S2S{
			BaseURL:     "http://sandbox.pismolabs.io", // ⚠️ not encrypted
			Credentials: passport.StaticCredentials("5d8252ea2e6729223f30d477d79a5c3cb45f8e03", os.Getenv("NOT_SET")),
			Header:      http.Header{"Authorization": {"Basic a2V5OnNlY3JldA=="}}, // ⚠️ a second authentication
			Fields:      map[string]any{"account_id": 102681871},                  // ⚠️ one account for all requests
		},
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, tokensource.ErrMisconfigured))
	// Output:
	// pismoauth: S2S.BaseURL: scheme "http" would send the credentials in the clear; use "https"
	// pismoauth: S2S.Credentials.Secret: is not set; use StaticCredentials, EnvCredentials or FileCredentials, with arguments that are not empty
	// pismoauth: S2S.Header["Authorization"]: is reserved for the framing, format and authentication of the request; remove it
	// pismoauth: S2S.Fields["account_id"]: is a field that S2S sets itself; remove it
	// true
}

// The text of an error says what to do. Its fields hold the details.
func ExampleS2S_Issue_errors() {
	pismo := httptest.NewServer(answer(http.StatusUnauthorized, `{"message":"Invalid credentials"}`, "x-cid", "b7c6d5e4"))
	defer pismo.Close()

	source, err := tokensource.New(tokensource.Config{
		Issuer: &passport.S2S{
			BaseURL:     pismo.URL,
			Credentials: passport.StaticCredentials("key", "a revoked secret"),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = source.Token(context.Background(), tokensource.Organization())
	if failure, ok := errors.AsType[*tokensource.Error](err); ok {
		fmt.Println(failure.Kind, failure.StatusCode, failure.CorrelationID)
	}
	fmt.Println(errors.Is(err, tokensource.ErrCredentialsRejected))
	// Output:
	// pismoauth: the token endpoint rejected the credentials; compare them with Pismo's Control Center 401 b7c6d5e4
	// true
}

// The files are read for each token request, so that secrets mounted by an
// orchestrator can be rotated while the program runs.
func ExampleFileCredentials() {
	issuer := &passport.S2S{
		BaseURL:     "https://sandbox.pismolabs.io",
		Credentials: passport.FileCredentials("/run/secrets/pismo-key", "/run/secrets/pismo-secret"),
	}
	fmt.Println(issuer.Validate())
	fmt.Println(issuer.Credentials)
	// Output:
	// <nil>
	// [redacted]
}

func ExampleEnvCredentials() {
	issuer := &passport.S2S{
		BaseURL:     "https://sandbox.pismolabs.io",
		Credentials: passport.EnvCredentials("PISMO_SERVER_KEY", "PISMO_SERVER_SECRET"),
	}
	_, err := issuer.Issue(context.Background(), tokensource.Organization())
	fmt.Println(err)
	fmt.Println(errors.Is(err, tokensource.ErrMisconfigured))
	// Output:
	// pismoauth: no token request was made because the configuration is wrong: S2S.Credentials.Key: environment variable "PISMO_SERVER_KEY" is not set
	// true
}

// At its start, a program finds the faults that its first token request would
// find.
func ExampleCredentials_Check() {
	credentials := passport.Credentials{
		Key:    passport.Env("PISMO_SERVER_KEY"),
		Secret: passport.File("/run/secrets/pismo-server-secret"),
	}
	fmt.Println(credentials.Check(context.Background()))
	// Output:
	// pismoauth: no token request was made because the configuration is wrong: S2S.Credentials.Key: environment variable "PISMO_SERVER_KEY" is not set
	// pismoauth: no token request was made because the configuration is wrong: S2S.Credentials.Secret: file "/run/secrets/pismo-server-secret" cannot be read: no such file or directory
}

// The secret comes from a vault, and the key from the environment.
func ExampleSecretFunc() {
	vault := func(context.Context, string) (string, error) { return "", errors.New("vault is sealed") }

	credentials := passport.Credentials{
		Key: passport.Literal("5d8252ea2e6729223f30d477d79a5c3cb45f8e03"),
		Secret: func(ctx context.Context) (tokensource.Secret, error) {
			secret, err := vault(ctx, "pismo/server-secret")
			if err != nil {
				// A sealed vault is an outage, not a misconfiguration.
				return tokensource.Secret{}, tokensource.NewError(tokensource.ErrUnavailable, tokensource.SafeError("the vault does not answer", err))
			}
			return tokensource.NewSecret(secret), nil
		},
	}

	issuer := &passport.S2S{BaseURL: "https://sandbox.pismolabs.io", Credentials: credentials}
	_, err := issuer.Issue(context.Background(), tokensource.Organization())
	fmt.Println(err)
	// Output: pismoauth: the token endpoint is unavailable: the vault does not answer
}

// The client certificate serves token requests and resource calls. It is read
// again when its files change, and connections with the old certificate end.
func ExampleClientCertificate() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	certFile, keyFile := filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")

	_, err = passport.NewClientCertificate(certFile, keyFile)
	fmt.Println("without the files:", errors.Is(err, tokensource.ErrMisconfigured))

	writeExampleCertificate(certFile, keyFile)
	certificate, err := passport.NewClientCertificate(certFile, keyFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	rt := certificate.RoundTripper(nil) // Also for transport.Config.Base.
	issuer := &passport.S2S{
		BaseURL:     "https://sandbox.pismolabs.io",
		Credentials: passport.FileCredentials("/run/secrets/pismo-key", "/run/secrets/pismo-secret"),
		Client:      &http.Client{Transport: rt},
	}
	fmt.Println(issuer, issuer.Validate())
	// Output:
	// without the files: true
	// passport.S2S(sandbox.pismolabs.io) <nil>
}

// All requests go through a proxy that the environment does not set.
func ExampleS2S_proxy() {
	proxy, err := url.Parse("http://proxy.internal:3128")
	if err != nil {
		fmt.Println(err)
		return
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(proxy)
	issuer := &passport.S2S{
		BaseURL:     "https://sandbox.pismolabs.io",
		Credentials: passport.EnvCredentials("PISMO_SERVER_KEY", "PISMO_SERVER_SECRET"),
		Client:      &http.Client{Transport: transport},
	}
	fmt.Println(issuer.Validate())
	// Output: <nil>
}
