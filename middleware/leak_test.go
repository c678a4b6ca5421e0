// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
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

// The sentinels must not appear in any output. They are in the credentials and
// in the token endpoint's answers.
const (
	leakedKey    = "SENTINELKEY"
	leakedSecret = "SENTINELSECRET"
	leakedAnswer = "SENTINELANSWER"
)

// prints returns the results of printing, logging and marshalling v.
func prints(v any) string {
	var all strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&all, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&all, nil)).Info("printed", "it", v)
	slog.New(slog.NewJSONHandler(&all, nil)).Info("printed", "it", v)
	if text, err := json.Marshal(v); err == nil {
		all.Write(text)
	}
	return all.String()
}

// The test covers every path of a request. It checks what the client, the log
// and the error handler get.
func TestMiddleware_ShowsNoSecret(t *testing.T) {
	var (
		mu     sync.Mutex
		tokens = map[string]bool{} // tokens of requests to the platform
	)
	fake := passporttest.NewServer(t, passporttest.Config{
		ServerKey:    leakedKey,
		ServerSecret: leakedSecret,
		Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] = true
			mu.Unlock()
			switch r.URL.Path {
			case "/refused":
				w.WriteHeader(http.StatusUnauthorized)
			case "/down":
				panic(http.ErrAbortHandler)
			case "/half":
				_, _ = w.Write([]byte("half"))
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}),
	})
	p := newPlatformFor(t, fake, tokensource.Config{})
	logged := new(recorder)
	account := fromJWT(t, jwtConfig(jwt.SigningMethodHS256, hmacKey))
	proxy := p.proxy(t, func(c *middleware.ProxyConfig) {
		c.Account = account
		c.ErrorLog = log.New(logged, "", 0)
		c.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			fmt.Fprintln(logged, prints(err), prints(middleware.ProblemOf(err)))
			if r.URL.Host != "" { // r is the outbound request.
				fmt.Fprintln(logged, prints(r.Header))
			}
			middleware.AnswerProblem(w, r, err)
		}
	})
	m := newMiddleware(t, middleware.Config{Source: p.source, Account: account})
	wrapped := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(logged, prints(r.Context()))
		token, _ := tokensource.ForwardedTokenFromContext(r.Context())
		fmt.Fprintln(w, prints(token))
	}))
	probe, err := middleware.NewReadiness(middleware.ReadinessConfig{Source: p.source, Account: acct(t, alice), Interval: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.Handle("/wrapped", wrapped)
	mux.Handle("/readyz", probe)
	s := serve(t, mux)

	theirs := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims())
	expired := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with("exp", 1)))
	others := sign(t, jwt.SigningMethodHS256, hmacKey, goodClaims(with(jwtClaim, bob)))
	var answers strings.Builder
	visit := func(token string, paths ...string) {
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodTrace} {
				// The read fails if the answer breaks off.
				r, err := s.try(s.request(t, method, path, strings.NewReader("payment"), "Authorization", "Bearer "+token))
				fmt.Fprintln(&answers, r, err)
			}
		}
	}
	visit(theirs, "/readyz", "/wrapped", "/", "/refused", "/down", "/half")
	visit(expired, "/wrapped", "/")
	fake.RevokeAll()
	fake.FailAlways(passporttest.Body(http.StatusUnauthorized, "application/json", `{"message":"`+leakedAnswer+`"}`))
	visit(theirs, "/refused", "/", "/wrapped", "/readyz") // The token is refused, and its renewal fails.
	visit(others, "/refused", "/", "/wrapped")            // There is no token.

	for name, text := range map[string]string{
		"an answer":    answers.String(),
		"the log":      logged.String(),
		"a middleware": prints(m) + prints(*m),
		"a proxy":      prints(proxy),
		"a probe":      prints(probe),
		"a source":     prints(p.source),
	} {
		for _, leak := range []string{leakedKey, leakedSecret, leakedAnswer, theirs, expired, others, string(hmacKey), fmt.Sprintf("%x", leakedSecret)} {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows %q", name, leak)
			}
		}
		for token := range tokens {
			if strings.Contains(text, token) {
				t.Errorf("%s shows a token", name)
			}
		}
	}
	check(t, "the platform's address in an answer", strings.Contains(answers.String(), fake.Host()), false)
	check(t, "the platform got several tokens", len(tokens) > 1, true)
	check(t, "the log has lines", logged.String() != "", true)
}
