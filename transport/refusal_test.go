// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf16"

	"github.com/pismoauth/pismoauth/transport"
)

// utf16le returns a text in UTF-16, as Windows writes it.
func utf16le(text string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

func deflated(tb testing.TB, text string) (framed, bare string) {
	tb.Helper()
	var withFrame, without bytes.Buffer
	z := zlib.NewWriter(&withFrame)
	f, err := flate.NewWriter(&without, flate.BestSpeed)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = z.Write([]byte(text))
	_, _ = f.Write([]byte(text))
	_, _ = z.Close(), f.Close()
	return withFrame.String(), without.String()
}

const business = `{"code":"EUPI0120","message":"Transfer amount is greater than the account available limits"}`

// A payment that the business refused is not replayed, whatever the form of the
// refusal. A readable body gives a verdict. An unreadable body is no evidence.
func TestVerdict_BusinessAnswerInAnyForm(t *testing.T) {
	framed, bare := deflated(t, business)
	for name, test := range map[string]struct {
		body    string
		header  []string
		verdict transport.Verdict
	}{
		"plain":                      {business, nil, transport.RequestRefused},
		"called HTML":                {business, []string{"Content-Type", "text/html"}, transport.RequestRefused},
		"called UTF-8":               {business, []string{"Content-Encoding", "UTF-8"}, transport.RequestRefused},
		"called gzip":                {business, []string{"Content-Encoding", "gzip"}, transport.RequestRefused},
		"called br":                  {business, []string{"Content-Encoding", "br"}, transport.RequestRefused},
		"gzip":                       {gzipText(t, business), []string{"Content-Encoding", "gzip"}, transport.RequestRefused},
		"gzip, undeclared":           {gzipText(t, business), nil, transport.RequestRefused},
		"gzip, called identity":      {gzipText(t, business), []string{"Content-Encoding", "identity"}, transport.RequestRefused},
		"zlib":                       {framed, []string{"Content-Encoding", "deflate"}, transport.RequestRefused},
		"deflate without a frame":    {bare, []string{"Content-Encoding", "deflate"}, transport.RequestRefused},
		"in two fields":              {gzipText(t, framed), []string{"Content-Encoding", "deflate", "Content-Encoding", "gzip"}, transport.RequestRefused},
		"byte order mark":            {"\ufeff" + business, nil, transport.RequestRefused},
		"byte order mark in gzip":    {gzipText(t, "\ufeff"+business), []string{"Content-Encoding", "gzip"}, transport.RequestRefused},
		"twice, the token's first":   {`{"code":"ERR9786","code":"EUPI0120"}`, nil, transport.RequestRefused},
		"twice, the token's last":    {`{"code":"EUPI0120","code":"ERR9786"}`, nil, transport.RequestRefused},
		"twice in an error":          {`{"errors":[{"code":"EUPI0120","code":"ERR9786"}]}`, nil, transport.RequestRefused},
		"errors twice":               {`{"errors":[{"code":"EUPI0120"}],"errors":[]}`, nil, transport.RequestRefused},
		"in lower case":              {`{"code":"eupi0120","message":"m"}`, nil, transport.RequestRefused},
		"with spaces":                {`{"code":" EUPI0120\n","message":"m"}`, nil, transport.RequestRefused},
		"another name":               {`{"Code":"EUPI0120","Message":"m"}`, nil, transport.RequestRefused},
		"errorCode":                  {`{"errorCode":"EUPI0120","message":"m"}`, nil, transport.RequestRefused},
		"error":                      {`{"error":{"code":"EUPI0120","message":"m"}}`, nil, transport.RequestRefused},
		"errors is an object":        {`{"errors":{"code":"EUPI0120"}}`, nil, transport.RequestRefused},
		"an array":                   {`[{"code":"EUPI0120"}]`, nil, transport.RequestRefused},
		"text in Latin-1":            {"{\"code\":\"EUPI0120\",\"message\":\"n\xe3o\"}", nil, transport.RequestRefused},
		"XSSI prefix":                {")]}',\n" + business, nil, transport.RequestRefused},
		"another XSSI prefix":        {"while(1);" + business, nil, transport.RequestRefused},
		"JSONP":                      {"cb(" + business + ")", nil, transport.RequestRefused},
		"XML":                        {"<error><code>EUPI0120</code></error>", []string{"Content-Type", "application/xml"}, transport.RequestRefused},
		"XML with a head":            {`<?xml version="1.0"?><error code="EUPI0120"/>`, nil, transport.RequestRefused},
		"HTML that names 401":        {"<html><h1>401</h1><p>EUPI0120</p></html>", nil, transport.RequestRefused},
		"a form":                     {"code=EUPI0120&message=m", nil, transport.RequestRefused},
		"YAML":                       {"code: EUPI0120\nmessage: m\n", nil, transport.RequestRefused},
		"a sentence":                 {"EUPI0120: Transfer amount is greater", nil, transport.RequestRefused},
		"in quotes":                  {`"{\"code\":\"EUPI0120\"`, nil, transport.RequestRefused},
		"a sentence in lower case":   {"eupi0120: transfer amount is greater", nil, transport.RequestRefused},
		"a message":                  {`{"message":"EUPI0120: Transfer amount is greater"}`, nil, transport.RequestRefused},
		"in a message":               {`{"message":"{\"code\":\"EUPI0120\"}"}`, nil, transport.RequestRefused},
		"unknown, in a message":      {`{"message":"{\"code\":\"EUPI9999\"}"}`, nil, transport.Unrecognized},
		"XML in a message":           {`{"message":"<code>EUPI9999</code>"}`, nil, transport.Unrecognized},
		"an error's message":         {`{"errors":[{"message":"WEAM0023 debit function"}]}`, nil, transport.RequestRefused},
		"base64":                     {base64.StdEncoding.EncodeToString([]byte(business)), nil, transport.Unrecognized},
		"base64 of URLs":             {base64.RawURLEncoding.EncodeToString([]byte(business)), nil, transport.Unrecognized},
		"base64 in lines":            {"eyJjb2RlIjoi\r\nRVVQSTAxMjAi\r\nfQ==\r\n", nil, transport.Unrecognized},
		"base64 in a message":        {`{"message":"eyJjb2RlIjoiRVVQSTAxMjAifQ=="}`, nil, transport.Unrecognized},
		"percent encoding":           {url.PathEscape(business), nil, transport.Unrecognized},
		"account in a sentence":      {"WCAC0001 Account not authorized", nil, transport.AccountRefused},
		"UTF-16":                     {utf16le(business), []string{"Content-Type", "application/json; charset=utf-16"}, transport.Unrecognized},
		"brotli":                     {"\x1b\x5f\x00\x80", []string{"Content-Encoding", "br"}, transport.Unrecognized},
		"brotli, behind an identity": {"\x1b\x5f\x00\x80", []string{"Content-Encoding", "identity", "Content-Encoding", "br"}, transport.Unrecognized},
		"zstd":                       {"\x28\xb5\x2f\xfd\x04\x00", []string{"Content-Encoding", "zstd"}, transport.Unrecognized},
		"invalid gzip":               {"\x1f\x8b\x08\x00garbage", nil, transport.Unrecognized},
		"MessagePack":                {"\x82\xa4code\xa8EUPI0120", nil, transport.RequestRefused},
		"breaks off":                 {business[:20], nil, transport.Unrecognized},
		"XML with an unknown code":   {"<error><code>EXYZ0001</code></error>", nil, transport.Unrecognized},
		"XSSI with an unknown code":  {")]}',\n{\"code\":\"EXYZ0001\"}", nil, transport.Unrecognized},
		"form, of NUL":               {"Unauthorized\x00", nil, transport.Unrecognized},
		"Latin-1":                    {"n\xe3o autorizado", nil, transport.Unrecognized},
		"control characters":         {"Unauthorized\x1b[0m", nil, transport.Unrecognized},
		"message and a code":         {`{"message":"m","code":"EXYZ0001"}`, nil, transport.Unrecognized},
		"message and a number":       {`{"message":"m","code":401}`, nil, transport.Unrecognized},
		"message twice":              {`{"message":"m","message":"n"}`, nil, transport.Unrecognized},
		"message of objects":         {`{"message":{"code":"EXYZ0001"}}`, nil, transport.Unrecognized},
		"message and a timestamp":    {`{"message":"m","timestamp":"2026-11-24T10:00:00Z"}`, nil, transport.Unrecognized},
		"a framework's":              {`{"timestamp":1,"status":401,"error":"Unauthorized","message":"m","path":"/pay"}`, nil, transport.Unrecognized},
		"message and a request's id": {`{"message":"m","requestId":"1"}`, nil, transport.Unrecognized},
		"HTML of something else":     {"<html><h1>Maintenance</h1></html>", nil, transport.Unrecognized},
		"undeclared gzip of words":   {gzipText(t, "Unauthorized"), nil, transport.Unrecognized},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, w := &fakeIssuer{}, answers401(test.body, test.header...)
				r := post(t, newTransport(t, m, w), target, "payment")
				if r.verdict != test.verdict {
					t.Errorf("the verdict is %q, want %q", r.verdict, test.verdict)
				}
				if r.status != http.StatusUnauthorized || r.body != test.body {
					t.Errorf("got %+v, want the unchanged answer", r)
				}
				wantSent(t, w, 1)
				synctest.Wait()
			})
		})
	}
}

// A gateway that refuses a token does not forward the request to the business.
func TestVerdict_GatewayAnswerIsTokens(t *testing.T) {
	for name, test := range map[string]struct {
		body   string
		header []string
	}{
		"words":                {"Jwt is expired", nil},
		"words of Envoy":       {"RBAC: access denied", nil},
		"words with marks":     {"Token \"abc\" has expired (code 16). Retry; or don't!\r\n", nil},
		"in Portuguese":        {"Não autorizado: token inválido", nil},
		"message":              {`{"message":"Token inválido"}`, nil},
		"Message":              {`{"Message":"Unauthorized"}`, nil},
		"message null":         {`{"message":null}`, nil},
		"page of nginx":        {"<html>\r\n<head><title>401 Authorization Required</title></head>\r\n</html>", nil},
		"page of Apache":       {"<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<title>401 Unauthorized</title>", nil},
		"words in gzip":        {gzipText(t, "Unauthorized"), []string{"Content-Encoding", "gzip"}},
		"words called gzip":    {"Unauthorized", []string{"Content-Encoding", "gzip"}},
		"words behind a mark":  {"\ufeffUnauthorized", nil},
		"only a mark":          {"\ufeff", nil},
		"one word":             {"InvalidToken", nil},
		"a percentage":         {"Unauthorized: 100% of the quota", nil},
		"token code, in lower": {`{"error_code":"err9786"}`, nil},
	} {
		m, w := &fakeIssuer{}, answers401(test.body, test.header...)
		r := post(t, newTransport(t, m, w), target, "payment")
		if r.verdict != transport.TokenRefused || r.body != test.body {
			t.Errorf("%s: got %+v, want the answer with the verdict %q", name, r, transport.TokenRefused)
		}
		wantSent(t, w, 2)
	}
}

// A response to HEAD has no body. An absent body is not the same as an empty
// body: a GET could have got one.
func TestVerdict_HEADIsNoEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := &fakeIssuer{}, answers401("", "Content-Length", "80")
		rt := newTransport(t, m, w)
		r := send(t, rt, newRequest(t, http.MethodHead, target, nil))
		if r.status != http.StatusUnauthorized || r.verdict != transport.Unrecognized {
			t.Errorf("got %+v, want the 401 with the verdict %q", r, transport.Unrecognized)
		}
		wantSent(t, w, 1)
		synctest.Wait()
		wantIssued(t, m, 2) // After an early revocation, the next request gets a new token.
	})
}

// An endpoint with unreadable 401s must not cause many issuances. A business
// response must not count as a refusal of the token.
func TestVerdict_IllegibleDrivesOneRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := &fakeIssuer{}, answers401("\x1b\x5f\x00\x80", "Content-Encoding", "br")
		rt := newTransport(t, m, w, noDefaultAccount)
		for i := range 100 {
			req := newRequest(t, http.MethodGet, target, nil)
			ctx := contextFor(t, req, "1")
			if r := send(t, rt, req.WithContext(ctx)); r.status != http.StatusUnauthorized || r.verdict != transport.Unrecognized {
				t.Fatalf("request %d: got %+v, want the unchanged 401", i, r)
			}
			synctest.Wait()
		}
		wantSent(t, w, 100)
		wantIssued(t, m, 2)
		sleep(lifetime) // A new token may be accepted.
		for range 100 {
			req := newRequest(t, http.MethodGet, target, nil)
			send(t, rt, req.WithContext(contextFor(t, req, "1")))
			synctest.Wait()
		}
		if n := m.issuances(); n > 4 {
			t.Errorf("%d tokens were issued in two lifetimes, want at most 4", n)
		}
	})
}

// An unknown code is evidence: each such 401 is a reason for a renewal, within
// the budget.
func TestVerdict_UnknownCodeHealsNext(t *testing.T) {
	for name, body := range map[string]string{
		"own template": `{"success":false,"message":"Token Expired"}`,
		"framework":    `{"timestamp":"2026-11-24T10:00:00.000+00:00","status":401,"error":"Unauthorized","path":"/pay"}`,
		"OAuth":        `{"error":"invalid_token","error_description":"Access token expired"}`,
		"empty object": `{}`,
		"string":       `"Unauthorized"`,
		"number":       `401`,
		"XML":          `<error>Unauthorized</error>`,
		"illegible":    "\x00",
	} {
		synctest.Test(t, func(t *testing.T) {
			m := &fakeIssuer{}
			w := &fakeBase{answer: func(s sentRequest) (*http.Response, error) {
				resp, err := m.answer(s)
				if resp.StatusCode == http.StatusUnauthorized {
					resp = respond(http.StatusUnauthorized, body)
				}
				return resp, err
			}}
			rt := newTransport(t, m, w)
			get(t, rt, target)
			m.revoke()
			if r := post(t, rt, target, "payment"); r.status != http.StatusUnauthorized || r.verdict != transport.Unrecognized {
				t.Errorf("%s: got %+v, want the 401", name, r)
			}
			synctest.Wait()
			wantStatus(t, post(t, rt, target, "payment"), http.StatusOK)
			wantSent(t, w, 3)
		})
	}
}

// Deep nesting must not cost more than the length of the body.
func TestVerdict_NestedErrorsAreBounded(t *testing.T) {
	body := strings.Repeat(`{"errors":`, 5000) + "[]" + strings.Repeat("}", 5000)
	w := answers401(body)
	if r := post(t, newTransport(t, &fakeIssuer{}, w), target, "payment"); r.body != body {
		t.Error("the caller did not get the answer")
	}
	wantSent(t, w, 1)
}
