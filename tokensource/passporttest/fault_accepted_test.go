// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// acceptedFaults returns the unusual answers that a client should accept.
func acceptedFaults() []passporttest.Fault {
	return []passporttest.Fault{
		passporttest.ByteOrderMark(), passporttest.Gzip("gzip"), passporttest.Gzip(""), passporttest.Gzip("UTF-8"),
		passporttest.Mislabelled("gzip"), passporttest.Mislabelled("UTF-8"), passporttest.Mislabelled("br"),
		passporttest.ExpiresIn(`"600s"`), passporttest.ExpiresIn("0"), passporttest.ExpiresIn("1795514400000"), passporttest.ExpiresIn("600"),
		passporttest.WrongDate(-24 * time.Hour), passporttest.SameToken(),
	}
}

func TestFault_UnusualAnswersAccepted(t *testing.T) {
	for _, fault := range acceptedFaults() {
		t.Run(fault.String(), func(t *testing.T) {
			forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
				s.FailAlways(fault)
				tok, err := newSource(t, s).Token(t.Context(), account(t, "1"))
				if err != nil {
					t.Fatal(err)
				}
				check(t, "status", get(t, s, tok.Reveal(), "/v1/accounts/1"), http.StatusOK)
				check(t, "faults", s.Counts().Faults, 1)
			})
		})
	}
}

func TestFault_UnusualAnswersOnTheWire(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	fetch := func(fault passporttest.Fault) (http.Header, []byte) {
		s.Fail(fault)
		r := newTokenRequest(t, s, "1")
		r.Header.Set("Accept-Encoding", "identity")
		a, err := send(t, s.Client(), r)
		if err != nil {
			t.Fatal(err)
		}
		return a.header, a.body
	}
	if _, body := fetch(passporttest.ByteOrderMark()); !bytes.HasPrefix(body, []byte("\xef\xbb\xbf{")) {
		t.Errorf("the body begins with %.10q, want a byte order mark", body)
	}
	for _, label := range []string{"", "gzip", "UTF-8"} {
		header, body := fetch(passporttest.Gzip(label))
		check(t, "label", header.Get("Content-Encoding"), label)
		unzip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(unzip); err != nil || !json.Valid(text) {
			t.Errorf("gzip: got %q, error %v, want JSON", text, err)
		}
	}
	header, body := fetch(passporttest.Mislabelled("gzip"))
	check(t, "label", header.Get("Content-Encoding"), "gzip")
	check(t, "JSON", json.Valid(body), true)
	if _, body := fetch(passporttest.ExpiresIn(`{"a":1}`)); !strings.Contains(string(body), `"expires_in":{"a":1}`) {
		t.Errorf("got %s, want the given expires_in", body)
	}
	header, _ = fetch(passporttest.WrongDate(-time.Hour))
	if date, err := http.ParseTime(header.Get("Date")); err != nil || time.Since(date) < 59*time.Minute {
		t.Errorf("got Date %v, error %v, want 59m ago or earlier", date, err)
	}
}

func TestFault_SameToken(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.FailAlways(passporttest.SameToken())
	first := newToken(t, s, "1")
	check(t, "token of another account is the same", newToken(t, s, "2") == first, false)
	s.Revoke("1")
	check(t, "same token", newToken(t, s, "1"), first)
	check(t, "issued", s.Counts().Issued, 2)
	s.Heal()
	check(t, "next token is the same", newToken(t, s, "1") == first, false)
}

func TestFault_UnusualNeedsValidRequest(t *testing.T) {
	for _, fault := range acceptedFaults() {
		s := passporttest.NewServer(t, passporttest.Config{})
		wrong := newTokenRequest(t, s, "1")
		s.RotateSecret()
		s.Fail(fault)
		a, err := send(t, s.Client(), wrong)
		if err != nil {
			t.Fatal(err)
		}
		check(t, fault.String(), a.status, http.StatusUnauthorized)
	}
}

// The Date and the claims of a token come from the same clock. Otherwise a
// client would treat every token as expired.
func TestConfig_ClockSkewOfDate(t *testing.T) {
	for _, skew := range []time.Duration{0, 24 * time.Hour, -24 * time.Hour} {
		forEachServer(t, func() passporttest.Config { return passporttest.Config{ClockSkew: skew} }, func(t *testing.T, s *passporttest.Server) {
			a := requestToken(t, s, "1")
			_, c := claims(t, a.field(t, "token").(string))
			date, err := http.ParseTime(a.header.Get("Date"))
			if apart := time.Unix(integer(t, c["iat"]), 0).Sub(date); err != nil || apart < 0 || apart > 5*time.Second {
				t.Errorf("skew %v: Date %v and iat are %v apart (%v)", skew, date, apart, err)
			}
		})
	}
}

func TestServer_DateInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{})
		time.Sleep(time.Hour)
		check(t, "Date", requestToken(t, s, "1").header.Get("Date"), time.Now().UTC().Format(http.TimeFormat))
	})
}
