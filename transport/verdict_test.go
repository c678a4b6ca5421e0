// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

func gzipText(tb testing.TB, content string) string {
	tb.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(content)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return zipped.String()
}

// answers401 returns a base that answers 401 to every request.
func answers401(body string, header ...string) *fakeBase {
	return &fakeBase{answer: always(http.StatusUnauthorized, body, header...)}
}

func TestVerdict_FollowsFirstMatchingRule(t *testing.T) {
	const (
		token    = transport.TokenRefused
		account  = transport.AccountRefused
		business = transport.RequestRefused
		unclear  = transport.Unrecognized

		limit   = 64 << 10
		invalid = `Bearer realm="pismo", error="invalid_token"`
		scope   = `Bearer error="insufficient_scope"`
	)
	gzipped := func(body string) []string { return []string{gzipText(t, body), "Content-Encoding", "gzip"} }
	plain := func(body string, header ...string) []string { return append([]string{body}, header...) }
	challenge := func(values ...string) []string {
		answer := []string{`{"code":"unknown"}`}
		for _, value := range values {
			answer = append(answer, "WWW-Authenticate", value)
		}
		return answer
	}
	for _, test := range []struct {
		name      string
		answer    []string // body, then header
		expired   bool
		safe, not transport.Verdict // for GET, for POST
	}{
		// Rule 1: the platform's codes, at every place in the body.
		{"token code", plain(`{"code":"EDPT0005","message":"m"}`), false, token, token},
		{"account code", plain(`{"code":"WCAC0001","message":"Account not authorized"}`), false, account, account},
		{"business code", plain(`{"code":"EUPI0120","message":"m","details":{"a":[1]}}`), false, business, business},
		{"error_code", plain(`{"error_code":"ERR9786","message":"m"}`), false, token, token},
		{"business error_code", plain(`{"error_code":"RCAPI-DOMAIN-VIOLATION","message":"m"}`), false, business, business},
		{"errors[]", plain(`{"correlationId":"c","errors":[{"code":"EUPI0120"}]}`), false, business, business},
		{"errors[], second", plain(`{"errors":[{"code":"unknown"},{"error_code":"WEAM0024"}]}`), false, business, business},
		{"errors[] with other things in it", plain(`{"errors":["text",null,{"code":"WEAM0024"}]}`), false, business, business},
		{"business code with escapes", plain(`{"code":"EUPI\u0030120"}`), false, business, business},
		{"business code among white space", plain("\r\n {\n\"code\" : \"EUPI0120\" } \n"), false, business, business},
		{"business code behind a byte order mark", plain("\ufeff{\"code\":\"EUPI0120\"}"), false, business, business},
		{"business code beside a token code", plain(`{"code":"ERR9786","errors":[{"code":"EUPI0120"}]}`), false, business, business},
		{"account code beside a token code", plain(`{"error_code":"ERR9786","code":"WEAM0009"}`), false, account, account},
		{"business code in an expired token's answer", plain(`{"code":"EUPI0120"}`), true, business, business},
		{"business code against a challenge", plain(`{"code":"EUPI0120"}`, "WWW-Authenticate", invalid), false, business, business},
		{"token code against a challenge", plain(`{"code":"EBLT0005"}`, "WWW-Authenticate", scope), false, token, token},
		{"business code, gzip", gzipped(`{"code":"EUPI0120"}`), false, business, business},

		// Rule 2: the token has expired.
		{"unknown code, expired", plain(`{"code":"unknown"}`), true, token, token},
		{"challenge, expired", plain(`{"code":"unknown"}`, "WWW-Authenticate", scope), true, token, token},

		// Rule 3: the challenge.
		{"invalid_token", challenge(invalid), false, token, token},
		{"insufficient_scope", challenge(scope), false, account, account},
		{"insufficient_scope with an empty body", plain("", "WWW-Authenticate", scope), false, account, account},
		{"unknown error", challenge(`Bearer error="invalid_request"`), false, token, unclear},
		{"no error", challenge(`Bearer realm="pismo"`), false, token, unclear},
		{"another scheme", challenge(`Basic realm="x", error="insufficient_scope"`), false, token, unclear},
		{"two challenges in one", challenge(`Basic realm="x", Bearer realm="y", error="insufficient_scope"`), false, account, account},
		{"two challenges in two", challenge(`Basic realm="x"`, scope), false, account, account},
		{"another scheme after ours", challenge(`Bearer realm="x", DPoP algs="ES256", error="insufficient_scope"`), false, token, unclear},
		{"a comma in quotes", challenge(`Bearer realm="a, Basic b, error=\"invalid_token\", ", error="insufficient_scope"`), false, account, account},
		{"other cases", challenge(`BEARER Error="insufficient_scope"`), false, account, account},
		{"no quotes", challenge(`bearer error=insufficient_scope`), false, account, account},
		{"spaces", challenge(`Bearer  realm = "x" ,  error = "insufficient_scope" `), false, account, account},

		// Rule 4: the answer of a gateway.
		{"empty", plain(""), false, token, token},
		{"white space", plain(" \r\n"), false, token, token},
		{"plain text", plain("Unauthorized"), false, token, token},
		{"HTML", plain("<html>Unauthorized</html>", "Content-Type", "text/html"), false, token, token},
		{"plain text that is called JSON", plain("Unauthorized", "Content-Type", "application/json"), false, token, token},
		{"message", plain(`{"message":"Unauthorized"}`), false, token, token},
		{"message, gzip", gzipped(`{"message":"Unauthorized"}`), false, token, token},
		{"empty, gzip", gzipped(""), false, token, token},
		{"empty, said to be gzip", plain("", "Content-Encoding", "gzip"), false, token, token},
		{"empty, said to be br", plain("", "Content-Encoding", "br"), false, token, token},
		{"identity", plain("Unauthorized", "Content-Encoding", "identity"), false, token, token},
		{"gzip twice", plain(gzipText(t, gzipText(t, "x")), "Content-Encoding", "gzip, gzip"), false, token, token},
		{"gzip in two fields", plain(gzipText(t, gzipText(t, "x")), "Content-Encoding", "gzip", "Content-Encoding", "gzip"), false, token, token},
		{"not gzip", plain("Unauthorized", "Content-Encoding", "gzip"), false, token, token},
		{"64 KiB of text", plain(strings.Repeat("x", limit)), false, token, token},
		{"64 KiB of text, gzip", gzipped(strings.Repeat("x", limit)), false, token, token},

		// Rule 5: anything else.
		{"unknown code", plain(`{"code":"unknown"}`), false, token, unclear},
		{"unknown code and message", plain(`{"code":"unknown","message":"m"}`), false, token, unclear},
		{"code as a number", plain(`{"code":401,"message":"m"}`), false, token, unclear},
		{"code null", plain(`{"code":null,"message":"m"}`), false, token, unclear},
		{"a message that is an object", plain(`{"message":{"code":"EUPI0120"}}`), false, token, unclear},
		{"empty object", plain(`{}`), false, token, unclear},
		{"array", plain(`[{"message":"m"}]`), false, token, unclear},
		{"string", plain(`"Unauthorized"`), false, token, unclear},
		{"number", plain(`401`), false, token, unclear},
		{"JSON that breaks off", plain(`{"code":"EUPI0120","mess`), false, token, unclear},
		{"array that breaks off", plain(`[{"code":"EUPI0120"}`), false, token, unclear},
		{"JSON with more behind it", plain(`{"code":"EUPI0120"}{}`), false, token, unclear},
		{"br", plain("\x0b\x02\x80", "Content-Encoding", "br"), false, unclear, unclear},
		{"gzip that breaks off", plain(gzipText(t, "Unauthorized")[:20], "Content-Encoding", "gzip"), false, unclear, unclear},
		{"gzip bomb", gzipped(strings.Repeat(" ", 8<<20)), false, unclear, unclear},
		{"64 KiB and one of text", plain(strings.Repeat("x", limit+1)), false, unclear, unclear},
		{"64 KiB and one of text, gzip", gzipped(strings.Repeat("x", limit+1)), false, unclear, unclear},
		{"business code after 64 KiB", plain(`{"message":"` + strings.Repeat("x", limit) + `","code":"EUPI0120"}`), false, unclear, unclear},
	} {
		for method, want := range map[string]transport.Verdict{http.MethodGet: test.safe, http.MethodPost: test.not} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := answers401(test.answer[0], test.answer[1:]...)
					if test.expired {
						answer := w.answer
						w.answer = func(s sentRequest) (*http.Response, error) {
							if s.number == 1 {
								sleep(lifetime)
							}
							return answer(s)
						}
					}
					var verdicts []transport.Verdict
					rt := newTransport(t, &fakeIssuer{}, w, func(c *transport.Config) {
						c.Hooks.Refused = func(ctx context.Context, info transport.RefusedInfo) (context.Context, func(transport.RefusedResult)) {
							verdicts = append(verdicts, info.Verdict)
							return ctx, nil
						}
					})
					req := newRequest(t, http.MethodPost, target, strings.NewReader("payment"))
					req.Method = method
					r := send(t, rt, req)
					if verdicts[0] != want {
						t.Errorf("the verdict is %q, want %q", verdicts[0], want)
					}
					times := 1
					if want == token {
						times = 2
					}
					wantSent(t, w, times)
					wantStatus(t, r, http.StatusUnauthorized)
					if r.body != test.answer[0] {
						t.Errorf("the caller got %d bytes, which differ from the %d of the answer", len(r.body), len(test.answer[0]))
					}
					synctest.Wait()
				})
			})
		}
	}
}

// A 401 with the same content can get TokenRefused for a safe method, and
// Unrecognized for another method.
func TestUnrecognized_ReplaysOnlySafeMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for method, want := range map[string]transport.Verdict{
			"":                 transport.TokenRefused,
			http.MethodGet:     transport.TokenRefused,
			http.MethodHead:    transport.TokenRefused,
			http.MethodOptions: transport.TokenRefused,
			http.MethodPost:    transport.Unrecognized,
			http.MethodPut:     transport.Unrecognized,
			http.MethodPatch:   transport.Unrecognized,
			http.MethodDelete:  transport.Unrecognized,
			http.MethodTrace:   transport.Unrecognized,
			"get":              transport.Unrecognized, // HTTP methods are case-sensitive.
			"PURGE":            transport.Unrecognized,
		} {
			req := newRequest(t, http.MethodPost, target, nil)
			req.Method = method
			// Only safety decides about the replay. AllowRetry must not turn the refusal
			// of a payment into a refusal of the token.
			req = req.WithContext(transport.AllowRetry(req.Context()))
			if r := send(t, newTransport(t, &fakeIssuer{}, answers401(`{"code":"unknown"}`)), req); r.verdict != want {
				t.Errorf("%q: the verdict is %q, want %q", method, r.verdict, want)
			}
		}
		synctest.Wait()
	})
}

func TestVerdict_MatchesDocumentedRefusals(t *testing.T) {
	want := map[passporttest.RefusalKind]transport.Verdict{
		passporttest.KindToken:        transport.TokenRefused,
		passporttest.KindWrongAccount: transport.AccountRefused,
		passporttest.KindBusiness:     transport.RequestRefused,
		passporttest.KindProvider:     transport.RequestRefused,
	}
	cases := passporttest.DocumentedCases()
	if len(cases) < 50 {
		t.Errorf("there are %d cases only", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Method+" "+c.Refusal.Name, func(t *testing.T) {
			for _, encoding := range []string{"", "gzip"} {
				m := &fakeIssuer{}
				w := answers401(c.Refusal.Body, "Content-Type", c.Refusal.ContentType)
				if encoding != "" {
					w = answers401(gzipText(t, c.Refusal.Body), "Content-Type", c.Refusal.ContentType, "Content-Encoding", encoding)
				}
				req := newRequest(t, c.Method, "https://"+host+c.Path, strings.NewReader("payment"))
				r := send(t, newTransport(t, m, w), req)
				if r.verdict != want[c.Refusal.Kind] {
					t.Errorf("the verdict is %q, want %q", r.verdict, want[c.Refusal.Kind])
				}
				times := 1
				if want[c.Refusal.Kind] == transport.TokenRefused {
					times = 2
				}
				wantSent(t, w, times)
				wantIssued(t, m, times)
			}
		})
	}
}
