// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// These bodies are answers of a firewall or a proxy in front of Passport.
const (
	htmlPage = "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>"
	refusal  = `{"message":"Invalid credentials"}`
)

func TestS2S_StatusDeterminesErrorKind(t *testing.T) {
	const (
		credentials = tokensource.ErrCredentialsRejected
		acct        = tokensource.ErrAccountRejected
		limited     = tokensource.ErrRateLimited
		unavailable = tokensource.ErrUnavailable
		malformed   = tokensource.ErrMalformedResponse
	)
	tooLong := `{"token":"t","x":"` + strings.Repeat("x", 64<<10) + `"}`
	for name, test := range map[string]struct {
		status       int
		body         string
		contentType  string
		organization tokensource.ErrorKind
		account      tokensource.ErrorKind
	}{
		"429":                         {429, refusal, "", limited, limited},
		"429 HTML":                    {429, htmlPage, "text/html", limited, limited},
		"408":                         {408, "", "", unavailable, unavailable},
		"500":                         {500, `{"message":"Error authenticating server"}`, "", unavailable, unavailable},
		"500, too long":               {500, tooLong, "", unavailable, unavailable},
		"502":                         {502, htmlPage, "text/html", unavailable, unavailable},
		"503":                         {503, "", "", unavailable, unavailable},
		"504":                         {504, "", "", unavailable, unavailable},
		"520":                         {520, "error code: 520", "text/plain", unavailable, unavailable},
		"529":                         {529, "", "", unavailable, unavailable},
		"599":                         {599, "", "", unavailable, unavailable},
		"300":                         {300, refusal, "", malformed, malformed},
		"302":                         {302, "", "", malformed, malformed},
		"302 HTML":                    {302, htmlPage, "text/html", malformed, malformed},
		"304":                         {304, "", "", malformed, malformed},
		"308":                         {308, refusal, "", malformed, malformed},
		"200 HTML":                    {200, htmlPage, "text/html; charset=utf-8", unavailable, unavailable},
		"201 HTML, faulty parameters": {201, "Sorry", "Text/HTML; charset=; =", unavailable, unavailable},
		"201 HTML that is JSON":       {201, `{"token":"t"}`, "text/html", "", ""},
		"401 HTML that is JSON":       {401, refusal, "text/html", credentials, acct},
		"201 HTML by its body":        {201, " \r\n\t" + htmlPage, "application/json", unavailable, unavailable},
		"201 XML by its body":         {201, "<?xml version='1.0'?><Error/>", "application/xml", unavailable, unavailable},
		"400 HTML":                    {400, htmlPage, "text/html", unavailable, unavailable},
		"401 HTML":                    {401, htmlPage, "text/html", unavailable, unavailable},
		"403 HTML":                    {403, htmlPage, "text/html", unavailable, unavailable},
		"403 HTML by its body":        {403, htmlPage, "text/plain", unavailable, unavailable},
		"404 HTML":                    {404, htmlPage, "text/html", unavailable, unavailable},
		"403 HTML, too long":          {403, htmlPage + strings.Repeat(" ", 64<<10), "text/html", unavailable, unavailable},
		"200, too long":               {200, tooLong, "", malformed, malformed},
		"401, too long":               {401, tooLong, "", malformed, malformed},
		"403 empty":                   {403, "", "", unavailable, unavailable},
		"403 blank":                   {403, " \r\n", "text/plain", unavailable, unavailable},
		"401":                         {401, refusal, "", credentials, acct},
		"401 empty":                   {401, "", "", credentials, acct},
		"401 text":                    {401, "no", "text/plain", credentials, acct},
		"403":                         {403, `{"message":"forbidden"}`, "", credentials, acct},
		"403 text":                    {403, "error code: 1020", "text/plain", unavailable, unavailable},
		"403 that is JSON by chance":  {403, "1020", "text/plain", unavailable, unavailable},
		"403 with a string":           {403, `"forbidden"`, "", unavailable, unavailable},
		"403 with an array":           {403, `[{"message":"forbidden"}]`, "", unavailable, unavailable},
		"403 with half an object":     {403, `{"message":"forbi`, "", unavailable, unavailable},
		"403 binary":                  {403, "\x00\x80", "", unavailable, unavailable},
		"403, too long":               {403, tooLong, "", unavailable, unavailable},
		"403 with a mark":             {403, "\ufeff" + refusal, "", credentials, acct},
		"400":                         {400, `{"message":"invalid account"}`, "", malformed, acct},
		"404":                         {404, `  {"message":"no such account"}`, "", malformed, acct},
		"422":                         {422, `{"message":"unprocessable"}`, "", malformed, acct},
		"400 text":                    {400, "bad request", "text/plain", malformed, malformed},
		"404 empty":                   {404, "", "", malformed, malformed},
		"404 text":                    {404, "404 page not found", "text/plain", malformed, malformed},
		"404 that is JSON by chance":  {404, "404", "text/plain", malformed, malformed},
		"404 with half an object":     {404, `{"message":`, "", malformed, malformed},
		"404 with an array":           {404, `[{}]`, "", malformed, malformed},
		"402":                         {402, refusal, "", malformed, malformed},
		"405":                         {405, refusal, "", malformed, malformed},
		"407":                         {407, refusal, "", malformed, malformed},
		"409":                         {409, refusal, "", malformed, malformed},
		"415":                         {415, refusal, "", malformed, malformed},
		"418":                         {418, refusal, "", malformed, malformed},
		"451":                         {451, refusal, "", malformed, malformed},
		"600":                         {600, refusal, "", malformed, malformed},
		"999":                         {999, `{"token":"t"}`, "", malformed, malformed},
		"200 without a token":         {200, `{}`, "", malformed, malformed},
		"200 empty":                   {200, "", "", malformed, malformed},
		"204":                         {204, "", "", malformed, malformed},
		"200 with a token":            {200, `{"token":"t"}`, "", "", ""},
		"201 with a token, untyped":   {201, `{"token":"t"}`, "text/plain", "", ""},
		"202 with a token":            {202, `{"token":"t"}`, "application/problem+json", "", ""},
		"299 with a token":            {299, `{"token":"t"}`, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{"x-cid", "cid-1"}
			if test.contentType != "" {
				headers = append(headers, "Content-Type", test.contentType)
			}
			s := issuer(serve(t, answer(test.status, test.body, headers...)))
			for account, kind := range map[tokensource.Account]tokensource.ErrorKind{
				tokensource.Organization(): test.organization,
				account(t, "1"):            test.account,
			} {
				grant, err := s.Issue(t.Context(), account)
				if kind == "" {
					if err != nil || grant.Token.Reveal() != "t" {
						t.Errorf("%v: got token %q, error %v, want t", account, grant.Token.Reveal(), err)
					}
					continue
				}
				failure := failedWith(t, err, kind)
				if failure.StatusCode != test.status {
					t.Errorf("%v: StatusCode = %d, want %d", account, failure.StatusCode, test.status)
				}
				if failure.CorrelationID != "cid-1" {
					t.Errorf("%v: CorrelationID = %q, want cid-1", account, failure.CorrelationID)
				}
				if grant != (tokensource.Grant{}) {
					t.Errorf("%v: a grant comes with the error", account)
				}
			}
		})
	}
}

func TestS2S_SwitchingProtocolsIsMalformed(t *testing.T) {
	base := rawServer(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n{\"token\":\"t\"}")
	_, err := issuer(base).Issue(t.Context(), tokensource.Organization())
	failure := failedWith(t, err, tokensource.ErrMalformedResponse)
	if failure.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("StatusCode = %d, want 101", failure.StatusCode)
	}
}

func TestRetryAfter_KeptForTemporaryErrors(t *testing.T) {
	const date = "Tue, 24 Nov 2026 10:00:00 GMT"
	for name, test := range map[string]struct {
		status int
		header []string
		want   time.Duration
	}{
		"429 with seconds":     {429, []string{"Retry-After", "7"}, 7 * time.Second},
		"429 with a date":      {429, []string{"Date", date, "Retry-After", "Tue, 24 Nov 2026 10:00:09 GMT"}, 9 * time.Second},
		"429 without":          {429, nil, 0},
		"429 with nonsense":    {429, []string{"Retry-After", "soon"}, 0},
		"503 with seconds":     {503, []string{"Retry-After", "3"}, 3 * time.Second},
		"503 without":          {503, nil, 0},
		"200 HTML with":        {200, []string{"Content-Type", "text/html", "Retry-After", "5"}, 5 * time.Second},
		"401 has no effect":    {401, []string{"Retry-After", "7"}, 0},
		"302 has no effect":    {302, []string{"Retry-After", "7"}, 0},
		"418 has no effect":    {418, []string{"Retry-After", "7"}, 0},
		"an empty 403":         {403, []string{"Retry-After", "7"}, 7 * time.Second},
		"520 of a firewall":    {520, []string{"Retry-After", "60"}, time.Minute},
		"a date in the past":   {429, []string{"Date", date, "Retry-After", "Tue, 24 Nov 2026 09:00:00 GMT"}, 0},
		"more than a Duration": {429, []string{"Retry-After", "99999999999999999999"}, 9223372036 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := issuer(serve(t, answer(test.status, "", test.header...)))
			_, err := s.Issue(t.Context(), tokensource.Organization())
			if got := failure(t, err).RetryAfter; got != test.want {
				t.Errorf("RetryAfter = %v, want %v", got, test.want)
			}
		})
	}
}

func TestCorrelationID_MustBeWellFormed(t *testing.T) {
	for id, want := range map[string]string{
		"b7c6d5e4-0000-4000-8000-1234567890ab": "b7c6d5e4-0000-4000-8000-1234567890ab",
		"A.z_0:9-":                             "A.z_0:9-",
		strings.Repeat("x", 128):               strings.Repeat("x", 128),
		strings.Repeat("x", 129):               "",
		"":                                     "",
		"a b":                                  "",
		"a\tb":                                 "",
		"<script>":                             "",
		`{"x":1}`:                              "",
		"a,b":                                  "",
		"é":                                    "",
		"%0a":                                  "",
	} {
		s := issuer("https://sandbox.pismolabs.io")
		s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"X-Cid": {id}}, Body: http.NoBody}, nil
		})}
		_, err := s.Issue(t.Context(), tokensource.Organization())
		if got := failure(t, err).CorrelationID; got != want {
			t.Errorf("x-cid %q: CorrelationID = %q, want %q", id, got, want)
		}
	}
}
