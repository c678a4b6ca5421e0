// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// compressed returns text compressed by a writer.
func compressed(text string, compress func(io.Writer) io.WriteCloser) string {
	var b bytes.Buffer
	w := compress(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func zipped(text string) string {
	return compressed(text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

// A CDN may compress an answer with or without a correct Content-Encoding.
func TestS2S_CompressedAnswers(t *testing.T) {
	const text = `{"token":"t"}`
	zlibbed := compressed(text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	bare := compressed(text, func(w io.Writer) io.WriteCloser { c, _ := flate.NewWriter(w, 1); return c })
	for name, test := range map[string]struct {
		status int
		label  string
		body   string
		kind   tokensource.ErrorKind
	}{
		"gzip":                      {201, "gzip", zipped(text), ""},
		"gzip, undeclared":          {201, "", zipped(text), ""},
		"gzip, labelled otherwise":  {201, "UTF-8", zipped(text), ""},
		"gzip twice":                {201, "gzip, gzip", zipped(zipped(text)), ""},
		"gzip around a mark":        {201, "gzip", zipped("\ufeff" + text), ""},
		"gzip of the limit":         {201, "gzip", zipped(text + strings.Repeat(" ", 64<<10-len(text))), ""},
		"zlib":                      {201, "deflate", zlibbed, ""},
		"deflate":                   {201, "deflate", bare, ""},
		"plain, labelled gzip":      {201, "gzip", text, ""},
		"plain, labelled br":        {201, "br", text, ""},
		"plain, labelled UTF-8":     {201, "UTF-8", text, ""},
		"plain, labelled none":      {201, "none", text, ""},
		"gzip with bytes behind it": {201, "gzip", zipped(text) + "\r\n", ""},
		"gzip that breaks off":      {201, "gzip", zipped(text)[:20], tokensource.ErrMalformedResponse},
		"gzip beyond the limit":     {201, "gzip", zipped(text + strings.Repeat(" ", 64<<10)), tokensource.ErrMalformedResponse},
		"a bomb":                    {201, "gzip", zipped(strings.Repeat(" ", 10<<20)), tokensource.ErrMalformedResponse},
		"br":                        {201, "br", "\x0b\x06\x80" + text + "\x03", tokensource.ErrMalformedResponse},
		"nothing, labelled gzip":    {201, "gzip", "", tokensource.ErrMalformedResponse},
		"a page in gzip":            {200, "gzip", zipped(htmlPage), tokensource.ErrUnavailable},
		"a refusal in gzip":         {403, "gzip", zipped(refusal), tokensource.ErrCredentialsRejected},
		"a firewall's text in gzip": {403, "gzip", zipped("error code: 1020"), tokensource.ErrUnavailable},
		"a 403 in br":               {403, "br", "\x80\x81", tokensource.ErrUnavailable},
		"a 401 in br":               {401, "br", "\x80\x81", tokensource.ErrCredentialsRejected},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if test.label != "" {
				headers = []string{"Content-Encoding", test.label}
			}
			base := serve(t, answer(test.status, test.body, headers...))
			for _, client := range []*http.Client{nil, {Transport: &http.Transport{DisableCompression: true}}} {
				s := issuer(base)
				s.Client = client
				grant, err := s.Issue(t.Context(), tokensource.Organization())
				if test.kind != "" {
					wantKind(t, err, test.kind)
				} else if err != nil || grant.Token.Reveal() != "t" {
					t.Errorf("token %q, error %v", grant.Token.Reveal(), err)
				}
			}
		})
	}
}

// Grant.Date is the Date of the answer, plus its Age if a cache answered.
func TestS2S_Date(t *testing.T) {
	const date = "Tue, 24 Nov 2026 10:00:00 GMT"
	at := time.Date(2026, time.November, 24, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		date, age string
		want      time.Time
	}{
		"a date":                 {date, "", at},
		"a cache":                {date, "570", at.Add(570 * time.Second)},
		"a new answer":           {date, "0", at},
		"RFC 850":                {"Tuesday, 24-Nov-26 10:00:00 GMT", "", at},
		"no date":                {"", "570", time.Time{}},
		"nonsense":               {"yesterday", "", time.Time{}},
		"a number":               {"1795514400", "", time.Time{}},
		"without a clock":        {"Thu, 01 Jan 1970 00:00:07 GMT", "", time.Time{}},
		"an invalid age":         {date, "old", at},
		"an age with a fraction": {date, "1.5", at},
		"a negative age":         {date, "-5", at},
		"an age of days":         {date, "86401", at},
		"an endless age":         {date, strings.Repeat("9", 30), at},
	} {
		s := s2sAnswering([]byte(`{"token":"t"}`))
		next := s.Client.Transport
		s.Client.Transport = roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			for field, value := range map[string]string{"Date": test.date, "Age": test.age} {
				if value != "" {
					resp.Header.Set(field, value)
				}
			}
			return resp, err
		})
		grant, err := s.Issue(t.Context(), tokensource.Organization())
		if err != nil || !grant.Date.Equal(test.want) {
			t.Errorf("%s: got %v, error %v, want %v", name, grant.Date, err, test.want)
		}
	}
}
