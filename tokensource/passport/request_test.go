// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// record serves one request on loopback. It returns the base URL, and a
// function that returns the bytes of the request once the answer is sent.
func record(t *testing.T) (string, func() string) {
	t.Helper()
	listener := listen(t)
	received := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var b bytes.Buffer
		if req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &b))); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}")
		received <- b.String()
	}()
	return "http://" + listener.Addr().String(), func() string { return <-received }
}

func TestS2S_SendsDocumentedRequest(t *testing.T) {
	const escaped = `$ ) ( ; % _ & =\"'\\<>{}` + "`#é"
	for name, test := range map[string]struct {
		account tokensource.Account
		change  func(*passport.S2S)
		path    string
		header  string
		body    string
	}{
		"the organization's token names no account": {
			account: tokensource.Organization(),
			body:    `{"server_key":"` + sampleKey + `","server_secret":"` + escaped + `"}`,
		},
		"an account is a number": {
			account: account(t, "102681871"),
			body:    `{"account_id":102681871,"server_key":"` + sampleKey + `","server_secret":"` + escaped + `"}`,
		},
		"a long account id is exact to the last digit": {
			account: account(t, "9223372036854775807"),
			body:    `{"account_id":9223372036854775807,"server_key":"` + sampleKey + `","server_secret":"` + escaped + `"}`,
		},
		"the field of the secret can have its old name": {
			account: tokensource.Organization(),
			change:  func(s *passport.S2S) { s.SecretField = "secret_key" },
			body:    `{"secret_key":"` + escaped + `","server_key":"` + sampleKey + `"}`,
		},
		"headers and fields can be added": {
			account: account(t, "7"),
			change: func(s *passport.S2S) {
				s.Header = http.Header{"X-Gateway": {"a", "b"}, "x-lower": {"c"}}
				s.Fields = map[string]any{"scope": []int{1, 2}, "nothing": nil}
			},
			header: "X-Gateway: a\r\nX-Gateway: b\r\nx-lower: c\r\n",
			body:   `{"account_id":7,"nothing":null,"scope":[1,2],"server_key":"` + sampleKey + `","server_secret":"` + escaped + `"}`,
		},
		"a path of the base URL is a prefix": {
			account: tokensource.Organization(),
			change:  func(s *passport.S2S) { s.BaseURL += "/gate%2Fway/" },
			path:    "/gate%2Fway",
			body:    `{"server_key":"` + sampleKey + `","server_secret":"` + escaped + `"}`,
		},
		"a slash at the end of the base URL is not doubled": {
			account: tokensource.Organization(),
			change:  func(s *passport.S2S) { s.BaseURL += "/" },
			body:    `{"server_key":"` + sampleKey + `","server_secret":"` + escaped + `"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			base, received := record(t)
			s := issuer(base)
			if test.change != nil {
				test.change(s)
			}
			if _, err := s.Issue(t.Context(), test.account); err != nil {
				t.Fatalf("Issue: %v (%v)", err, cause(failure(t, err)))
			}
			want := "POST " + test.path + "/passport/v2/s2s/access-token HTTP/1.1\r\n" +
				"Host: " + strings.TrimPrefix(base, "http://") + "\r\n" +
				"User-Agent: Go-http-client/1.1\r\n" +
				"Content-Length: " + strconv.Itoa(len(test.body)) + "\r\n" +
				"Accept: application/json\r\n" +
				"Accept-Encoding: gzip\r\n" +
				"Content-Type: application/json\r\n" +
				test.header + "\r\n" +
				test.body
			if got := received(); got != want {
				t.Errorf("on the wire:\n%q\nwant:\n%q", got, want)
			}
		})
	}
}

func TestS2S_SendsPunctuationUnchanged(t *testing.T) {
	var got map[string]any
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		answer(http.StatusCreated, `{"token":"t"}`)(w, r)
	})
	if _, err := issuer(base).Issue(t.Context(), tokensource.Organization()); err != nil {
		t.Fatal(err)
	}
	if got["server_secret"] != sampleSecret {
		t.Errorf("secret arrived as %q, want %q", got["server_secret"], sampleSecret)
	}
}

// Issue refuses the account before it reads the credentials.
func TestS2S_RefusesUnsupportedAccounts(t *testing.T) {
	external, err := tokensource.ExternalAccountID("5512990-642")
	if err != nil {
		t.Fatal(err)
	}
	for name, account := range map[string]tokensource.Account{
		"the zero account":    {},
		"an external account": external,
	} {
		t.Run(name, func(t *testing.T) {
			read := func(context.Context) (tokensource.Secret, error) {
				t.Error("the credentials were read")
				return tokensource.NewSecret("x"), nil
			}
			s := issuer("https://sandbox.pismolabs.io")
			s.Client = unusableClient(t)
			s.Credentials = passport.Credentials{Key: read, Secret: read}
			_, err := s.Issue(t.Context(), account)
			wantKind(t, err, tokensource.ErrMisconfigured)
		})
	}
}

func TestS2S_InvalidConfigSendsNothing(t *testing.T) {
	read := func(context.Context) (tokensource.Secret, error) {
		t.Error("the credentials were read")
		return tokensource.NewSecret("x"), nil
	}
	credentials := passport.Credentials{Key: read, Secret: read}
	for name, s := range map[string]*passport.S2S{
		"nil":                        nil,
		"zero":                       {},
		"plaintext":                  {BaseURL: "http://sandbox.pismolabs.io", Credentials: credentials},
		"user info":                  {BaseURL: "https://key:secret@sandbox.pismolabs.io", Credentials: credentials},
		"no credentials":             {BaseURL: "https://sandbox.pismolabs.io"},
		"a reserved header":          {BaseURL: "https://sandbox.pismolabs.io", Credentials: credentials, Header: http.Header{"Authorization": {"Bearer x"}}},
		"a header with a line break": {BaseURL: "https://sandbox.pismolabs.io", Credentials: credentials, Header: http.Header{"X-A": {"a\r\nX-B: b"}}},
		"a field that overrides":     {BaseURL: "https://sandbox.pismolabs.io", Credentials: credentials, Fields: map[string]any{"account_id": 1}},
		"a field without JSON":       {BaseURL: "https://sandbox.pismolabs.io", Credentials: credentials, Fields: map[string]any{"x": math.Inf(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			if s != nil {
				s.Client = unusableClient(t)
			}
			_, err := s.Issue(t.Context(), tokensource.Organization())
			wantKind(t, err, tokensource.ErrMisconfigured)
			if s.Validate() == nil {
				t.Error("Validate found nothing")
			}
		})
	}
}

// An unstableValue can be encoded as JSON only once.
type unstableValue struct{ encoded bool }

func (f *unstableValue) MarshalJSON() ([]byte, error) {
	if f.encoded {
		return nil, io.ErrClosedPipe
	}
	f.encoded = true
	return []byte("1"), nil
}

// A value may become unencodable after its validation.
func TestFields_UnstableEncodingIsNotSent(t *testing.T) {
	s := issuer("https://sandbox.pismolabs.io")
	s.Client = unusableClient(t)
	s.Fields = map[string]any{"unstable": &unstableValue{}}
	_, err := s.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrMisconfigured)
}

func TestDangerouslyAllowHTTP_SendsPlaintext(t *testing.T) {
	sent := false
	s := issuer("http://passport.internal.example")
	s.DangerouslyAllowHTTP = true
	s.Client = &http.Client{Transport: roundTripperFunc(func(*http.Request) (*http.Response, error) {
		sent = true
		return nil, io.ErrUnexpectedEOF
	})}
	_, err := s.Issue(t.Context(), tokensource.Organization())
	wantKind(t, err, tokensource.ErrUnavailable)
	if !sent {
		t.Error("nothing was sent")
	}
}

func TestS2S_SetsBareInGrant(t *testing.T) {
	s := issuer(serve(t, answer(http.StatusCreated, `{"token":"t"}`)))
	for _, bare := range []bool{false, true} {
		s.Bare = bare
		grant, err := s.Issue(t.Context(), tokensource.Organization())
		if err != nil {
			t.Fatal(err)
		}
		if grant.Bare != bare {
			t.Errorf("grant.Bare = %t, want %t", grant.Bare, bare)
		}
	}
}

func TestS2S_LeavesHeaderAndFieldsUnchanged(t *testing.T) {
	s := issuer("https://sandbox.pismolabs.io")
	s.Header = http.Header{"X-A": make([]string, 1, 8)}
	s.Fields = map[string]any{"a": 1}
	s.Client = &http.Client{Transport: roundTripperFunc(func(req *http.Request) (*http.Response, error) {
		req.Header["X-A"][0] = "changed" // A transport may change its request.
		return nil, io.ErrUnexpectedEOF
	})}
	_, err := s.Issue(t.Context(), account(t, "1"))
	wantKind(t, err, tokensource.ErrUnavailable)
	if len(s.Header) != 1 || s.Header.Get("X-A") != "" {
		t.Errorf("Header changed to %v", s.Header)
	}
	if len(s.Fields) != 1 {
		t.Errorf("Fields changed to %v", s.Fields)
	}
}
