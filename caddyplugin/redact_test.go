// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestRedactor_URLs(t *testing.T) {
	r := newRedactor(nil)
	for text, want := range map[string]string{
		"/v1/accounts/102681871":             "/v1/accounts/…",
		"/v1/accounts/7/cards":               "/v1/accounts/…/cards",
		"/v1/accounts/%31%30%32":             "/v1/accounts/…",
		"/v1/accounts/%zz":                   "/v1/accounts/…",
		"/v1/accounts/a'12345":               "/v1/accounts/…",
		"/v1/accounts/١٢٣":                   "/v1/accounts/…",
		"/v1/account:42;a=b":                 "/v1/…",
		"/v12/x/v1234":                       "/v12/x/…",
		"/search?account=42":                 "/search?…",
		"/search#42":                         "/search#…",
		"https://bank.example/v1/accounts/1": "https://bank.example/v1/accounts/…",
		"https://102681871.bank.example":     "https://….bank.example",
		"http://127.0.0.1:8080/":             "http://127.0.0.1:8080/",
		"*":                                  "*",
		"/":                                  "/",
	} {
		if got := r.value("uri", text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestRedactor_Texts(t *testing.T) {
	r := newRedactor(nil)
	for text, want := range map[string]string{
		`Get "https://bank.example/v1/accounts/42?x=1": EOF`:      `Get "https://bank.example/v1/accounts/…?…": EOF`,
		"dial tcp 127.0.0.1:65535: connect: connection refused":   "dial tcp 127.0.0.1:65535: connect: connection refused",
		"reverseproxy.statusError (reverseproxy.go:1776)":         "reverseproxy.statusError (reverseproxy.go:1776)",
		"malformed HTTP/1.1 response of 102681871":                "malformed HTTP/1.1 response of …",
		"the account 102681871 of the user 12345":                 "the account … of the user 12345",
		"pismoauth: the token endpoint is unavailable (status 5)": "pismoauth: the token endpoint is unavailable (status 5)",
	} {
		if got := r.value("error", text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// The test logs the parts of a request in every form of a field.
func TestLogEncoder_ShowsNoAccount(t *testing.T) {
	const account, short = "102681871", "4711"
	wrapped := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	var encoder zapcore.Encoder = &LogEncoder{MapObjectEncoder: zapcore.NewMapObjectEncoder(), wrapped: wrapped, redact: newRedactor([]string{"x-tenant"})}
	encoder = encoder.Clone()
	zap.String("orig_uri", "/v1/"+short).AddTo(encoder)
	zap.Object("with", zapcore.ObjectMarshalerFunc(func(e zapcore.ObjectEncoder) error {
		e.AddString("uri", "/v1/accounts/"+account)
		return nil
	})).AddTo(encoder)
	request := zapcore.ObjectMarshalerFunc(func(e zapcore.ObjectEncoder) error {
		e.AddString("uri", "/v1/accounts/"+short+"?account="+short)
		e.AddString("proto", "HTTP/2.0")
		return e.AddObject("headers", zapcore.ObjectMarshalerFunc(func(e zapcore.ObjectEncoder) error {
			for _, name := range []string{"X-Account-Id", "x_account", "Cookie", "Baggage"} {
				zap.Strings(name, []string{short, short}).AddTo(e)
			}
			zap.Strings("Referer", []string{"https://bank.example/accounts/" + short}).AddTo(e)
			zap.Strings("Link", []string{"</accounts/" + short + ">; rel=self"}).AddTo(e)
			zap.Strings("User-Agent", []string{"bank/5.0 " + account}).AddTo(e)
			zap.Strings("X-Tenant", []string{"acme"}).AddTo(e)
			zap.Strings("X-Request-Id", []string{"a1234567"}).AddTo(e)
			return nil
		}))
	})
	line, err := encoder.EncodeEntry(zapcore.Entry{Message: "rewrote /v1/accounts/" + short, Time: time.Unix(0, 0)}, []zapcore.Field{
		zap.Object("request", request),
		zap.String("user_id", short),
		zap.String("client_common_name", short),
		zap.Error(errors.New("no account " + account)),
		zap.Any("resp_headers", map[string][]string{"Location": {"/v1/accounts/" + short}, "X-Account": {short}}),
		zap.Any("reflected", struct{ Path string }{"/v1/accounts/" + short}),
		zap.Namespace("group"),
		zap.String("path", "/v1/"+short),
		zap.ByteString("bytes", []byte(account)),
		zap.Binary("binary", []byte(account)),
		zap.Int("status", 200),
		zap.Duration("duration", time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	text := line.String()
	if strings.Contains(text, account) || strings.Contains(text, short) || strings.Contains(text, "MTAyNjgxODcx") {
		t.Errorf("the log shows an account: %s", text)
	}
	for _, want := range []string{`"status":200`, `"duration":1`, `"proto":"HTTP/2.0"`, `"X-Tenant":["acme"]`, `"X-Request-Id":["a1234567"]`, `"msg":"rewrote /v1/accounts/…"`, `"group":{"path"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}
