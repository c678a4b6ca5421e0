// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/middleware"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// A handler sends requests to the platform for the account that the program's
// authentication has found. It uses the standard mux.
func ExampleMiddleware_Wrap() {
	pismo, source := startFakeServer()
	defer pismo.Close()

	authenticated, _ := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}})
	client := &http.Client{Transport: authenticated, Timeout: 30 * time.Second}
	m, _ := middleware.New(middleware.Config{Source: source, Account: middleware.FromContext(nil)})

	mux := http.NewServeMux()
	mux.Handle("GET /me", authenticate(m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, pismo.URL()+"/v1/accounts/102681871", nil)
		resp, err := client.Do(req)
		if err != nil {
			middleware.AnswerProblem(w, r, err)
			return
		}
		defer resp.Body.Close()
		io.Copy(w, resp.Body)
	}))))

	server := httptest.NewServer(mux)
	defer server.Close()
	fmt.Println(get(server.URL+"/me", ""))
	client.CloseIdleConnections()
	// Output:
	// 200 OK {"account_id":102681871,"status":"NORMAL"}
}

// A reverse proxy serves a mobile app. The app's requests carry a JWT from the
// program's own login.
func ExampleNewProxy() {
	pismo, source := startFakeServer()
	defer pismo.Close()

	authenticated, _ := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}})
	defer authenticated.CloseIdleConnections()
	target, _ := url.Parse(pismo.URL())
	key := []byte("the secret of the login and the proxy")
	account, err := middleware.FromJWT(middleware.JWTConfig{
		Algorithms: []string{"HS256"},
		Key:        func(*jwt.Token) (any, error) { return key, nil },
		Issuer:     "https://login.example",
		Audience:   "https://api.example",
		Claim:      "account",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	proxy, err := middleware.NewProxy(middleware.ProxyConfig{Target: target, Transport: authenticated, Account: account})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(proxy)
	defer server.Close()

	token, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "https://login.example", "aud": "https://api.example", "exp": time.Now().Add(time.Hour).Unix(), "account": "102681871",
	}).SignedString(key)
	fmt.Println(get(server.URL+"/v1/accounts/102681871", token))
	fmt.Println(get(server.URL+"/v1/accounts/102681872", token)) // The platform's own answer.
	fmt.Println(get(server.URL+"/v1/accounts/102681871", ""))
	// Output:
	// 200 OK {"account_id":102681871,"status":"NORMAL"}
	// 401 Unauthorized {"code": "WCAC0001", "message": "Account not authorized"}
	// 401 Unauthorized {"type":"https://github.com/pismoauth/pismoauth/blob/main/docs/errors.md#unauthenticated","title":"Unauthorized","status":401,"detail":"The request does not carry valid credentials."}
}

// A gateway in front of the program sets a header field, and removes that field
// from clients' requests.
func ExampleFromHeader() {
	account, err := middleware.FromHeader("X-Verified-Account", regexp.MustCompile(`[0-9]{1,19}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{"102681871", "0102681871", "102681871, 102681872"} {
		found, err := account(&http.Request{Header: http.Header{"X-Verified-Account": {value}}})
		fmt.Println(found.Kind(), found.ID(), err != nil)
	}
	// Output:
	// account 102681871 false
	// invalid  true
	// invalid  true
}

// Incorrect: the client chooses the path. Every client that requests
// /accounts/1 acts for account 1. First check that the client may act for the
// account, or take the account from the program's authentication.
func ExampleFromPath_incorrect() {
	pismo, source := startFakeServer()
	defer pismo.Close()

	m, _ := middleware.New(middleware.Config{Source: source, Account: middleware.FromPath("accountID")})
	mux := http.NewServeMux()
	mux.Handle("/accounts/{accountID}", m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, _ := tokensource.AccountFromContext(r.Context())
		fmt.Fprint(w, "acting for ", account.ID())
	})))
	server := httptest.NewServer(mux)
	defer server.Close()
	fmt.Println(get(server.URL+"/accounts/1", ""))
	// Output:
	// 200 OK acting for 1
}

// An instance with a valid token stays in rotation while the token endpoint is
// down.
func ExampleNewReadiness() {
	pismo, source := startFakeServer()
	defer pismo.Close()

	account, _ := tokensource.ParseAccountID("102681871")
	ready, err := middleware.NewReadiness(middleware.ReadinessConfig{Source: source, Account: account})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(ready)
	defer server.Close()
	fmt.Println(get(server.URL, ""))
	pismo.FailAlways(passporttest.Status(http.StatusInternalServerError))
	fmt.Println(get(server.URL, ""))
	// Output:
	// 200 OK
	// 200 OK
}

// startFakeServer starts a fake server and a Source for it.
func startFakeServer() (*passporttest.Server, *tokensource.Source) {
	pismo, err := passporttest.Start(passporttest.Config{})
	if err != nil {
		panic(err)
	}
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer()})
	if err != nil {
		panic(err)
	}
	return pismo, source
}

// authenticate stands for the program's own authentication.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, _ := tokensource.ParseAccountID("102681871") // The account of the session.
		next.ServeHTTP(w, r.WithContext(tokensource.ContextWithAccount(r.Context(), account)))
	})
}

// get returns the status and the body of an answer.
func get(url, token string) string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(resp.Status + " " + string(body))
}
