// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestFault_ScriptRunsInOrder(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.Fail(passporttest.Status(500), passporttest.Fault{})
	s.Fail(passporttest.Status(503))
	for _, want := range []int{500, 201, 503, 201, 201} {
		check(t, "status", requestToken(t, s, "").status, want)
	}
	check(t, "faults", s.Counts().Faults, 2)
}

func TestFault_PermanentLastsUntilHealed(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.FailAlways(passporttest.Status(503))
	s.Fail(passporttest.Status(500))
	for _, want := range []int{500, 503, 503, 503} {
		check(t, "status", requestToken(t, s, "").status, want)
	}
	s.Fail(passporttest.Status(500))
	s.Heal()
	check(t, "status when healed", requestToken(t, s, "").status, http.StatusCreated)
}

func TestFault_ScriptIsSpentOnce(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	const faults, requests = 20, 60
	for range faults {
		s.Fail(passporttest.Status(503))
	}
	var ended []<-chan outcome
	for range requests {
		ended = append(ended, sendInBackground(t, s, newTokenRequest(t, s, "")))
	}
	seen := map[int]int{}
	for _, end := range ended {
		seen[(<-end).status]++
	}
	check(t, "503s", seen[503], faults)
	check(t, "201s", seen[201], requests-faults)
}

func TestFault_AnswersAsDescribed(t *testing.T) {
	for name, tt := range map[string]struct {
		fault                      passporttest.Fault
		status                     int
		header, value, contentType string
		body                       string
		withoutCID                 bool
	}{
		"documented 500":         {passporttest.Status(500), 500, "", "", "application/json", `{"message":"Error authenticating server"}`, false},
		"503":                    {passporttest.Status(503), 503, "", "", "application/json", `{"message":"Service Unavailable"}`, false},
		"429":                    {passporttest.RateLimited(0), 429, "Retry-After", "", "application/json", `{"message":"Too many requests"}`, false},
		"429 with Retry-After":   {passporttest.RateLimited(2 * time.Second), 429, "Retry-After", "2", "application/json", `{"message":"Too many requests"}`, false},
		"429 with half a second": {passporttest.RateLimited(500 * time.Millisecond), 429, "Retry-After", "1", "application/json", `{"message":"Too many requests"}`, false},
		"a page":                 {passporttest.HTML(403), 403, "Server", "cloudflare", "text/html; charset=UTF-8", "<!DOCTYPE html>", true},
		"a redirect":             {passporttest.Redirect307("https://elsewhere.invalid/"), 307, "Location", "https://elsewhere.invalid/", "", "", false},
		"an empty 403":           {passporttest.Body(403, "", ""), 403, "", "", "", "", false},
		"something else":         {passporttest.Body(200, "text/plain", "hello"), 200, "", "", "text/plain", "hello", false},
		"slow headers":           {passporttest.SlowHeaders(time.Millisecond), 201, "", "", "application/json", `{"tenant":`, false},
	} {
		t.Run(name, func(t *testing.T) {
			forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
				s.Fail(tt.fault)
				response, err := s.Client().Transport.RoundTrip(newTokenRequest(t, s, ""))
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				body, err := io.ReadAll(response.Body)
				if err != nil {
					t.Fatal(err)
				}
				check(t, "status", response.StatusCode, tt.status)
				check(t, "content type", response.Header.Get("Content-Type"), tt.contentType)
				check(t, "without x-cid", response.Header.Get("X-Cid") == "", tt.withoutCID)
				if tt.header != "" {
					check(t, tt.header, response.Header.Get(tt.header), tt.value)
				}
				if !strings.HasPrefix(string(body), tt.body) || tt.body == "" && len(body) > 0 {
					t.Errorf("the body is %q, want %q", body, tt.body)
				}
			})
		})
	}
}

func TestReset_ResetsTheConnection(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		s.Fail(passporttest.Reset())
		if _, err := send(t, s.Client(), newTokenRequest(t, s, "")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got error %v, want ECONNRESET", err)
		}
	})
}

func TestReset_WorksThroughTLS(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{TLS: true})
	s.Fail(passporttest.Reset())
	if _, err := send(t, s.Client(), newTokenRequest(t, s, "")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got error %v, want ECONNRESET", err)
	}
}

func TestReset_WorksWithHTTP2(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{TLS: true, HTTP2: true})
	s.Fail(passporttest.Reset())
	if a, err := send(t, s.Client(), newTokenRequest(t, s, "")); err == nil {
		t.Errorf("the answer has the status %d, want an error", a.status)
	}
	check(t, "status after that", requestToken(t, s, "").status, http.StatusCreated)
}

func TestTruncated_BreaksOffInTheBody(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		s.Fail(passporttest.Truncated())
		a, err := send(t, s.Client(), newTokenRequest(t, s, ""))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got error %v, want io.ErrUnexpectedEOF", err)
		}
		check(t, "status", a.status, http.StatusCreated)
		if len(a.body) == 0 || json.Valid(a.body) {
			t.Errorf("the body is %q, want a part of the JSON", a.body)
		}
	})
}

func TestHang_EndsWithTheClient(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		s.Fail(passporttest.Hang())
		ctx, leave := context.WithCancel(t.Context())
		left := sendInBackground(t, s, newTokenRequest(t, s, "1").WithContext(ctx))
		await(t, s, func(c passporttest.Counts) bool { return c.Faults == 1 })
		leave()
		if err := (<-left).err; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
	})
}

func TestHang_EndsWithClose(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		s.FailAlways(passporttest.Hang())
		const requests = 5
		var ended []<-chan outcome
		for range requests {
			ended = append(ended, sendInBackground(t, s, newTokenRequest(t, s, "1")))
		}
		await(t, s, func(c passporttest.Counts) bool { return c.Faults == requests })
		s.Close()
		for _, end := range ended {
			if (<-end).err == nil {
				t.Error("a hanging request was answered")
			}
		}
	})
}

func TestOversized_HasItsSize(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	for asked, want := range map[int]int{0: 64<<10 + 1, 64 << 10: 64 << 10, 1 << 20: 1 << 20} {
		s.Fail(passporttest.Oversized(asked))
		a := requestToken(t, s, "1")
		check(t, "size", len(a.body), want)
		check(t, "status of its token", get(t, s, a.field(t, "token").(string), "/v1/accounts/1"), http.StatusOK)
	}
}

func TestWrongAccount_TokenIsAccepted(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.Fail(passporttest.WrongAccount("2"), passporttest.WrongAccountInToken("2"), passporttest.WrongAccountInAnswer("2"))
	for _, want := range []struct{ answer, token string }{{"2", "2"}, {"1", "2"}, {"2", "1"}} {
		a := requestToken(t, s, "1")
		check(t, "account of the answer", a.field(t, "account_id"), any(json.Number(want.answer)))
		value := a.field(t, "token").(string)
		_, c := claims(t, value)
		check(t, "account of the token", c["account-id"], any(want.token))
		check(t, "status at that account", get(t, s, value, "/v1/accounts/"+want.token), http.StatusOK)
	}
}

func TestWrongAccount_Organization(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.Fail(passporttest.WrongAccount(""))
	a := requestToken(t, s, "1")
	check(t, "account of the answer", a.field(t, "account_id"), nil)
	check(t, "status at the organization", get(t, s, a.field(t, "token").(string), "/v1/organization"), http.StatusOK)
}

func TestMixUp_SwapsAnswers(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		s.Fail(passporttest.MixUp())
		first := sendInBackground(t, s, newTokenRequest(t, s, "1"))
		await(t, s, func(c passporttest.Counts) bool { return c.Faults == 1 })
		check(t, "account of the second", requestToken(t, s, "2").field(t, "account_id"), any(json.Number("1")))
		check(t, "account of the first", (<-first).field(t, "account_id"), any(json.Number("2")))
		check(t, "account of the third", requestToken(t, s, "3").field(t, "account_id"), any(json.Number("3")))
	})
}

func TestMixUp_ClientMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{})
		s.Fail(passporttest.MixUp(), passporttest.MixUp())
		ctx, cancel := context.WithCancel(t.Context())
		left := sendInBackground(t, s, newTokenRequest(t, s, "1").WithContext(ctx))
		synctest.Wait()
		cancel()
		check(t, "first client is canceled", errors.Is((<-left).err, context.Canceled), true)
		synctest.Wait() // The handler ends after its client.
		second := sendInBackground(t, s, newTokenRequest(t, s, "2"))
		synctest.Wait()
		check(t, "account of the third", requestToken(t, s, "3").field(t, "account_id"), any(json.Number("2")))
		check(t, "account of the second", (<-second).field(t, "account_id"), any(json.Number("3")))
	})
}

func TestMalformed_IsNoToken(t *testing.T) {
	for _, m := range passporttest.Malformations() {
		t.Run(string(m), func(t *testing.T) {
			s := passporttest.NewServer(t, passporttest.Config{})
			s.Fail(passporttest.Malformed(m))
			a := requestToken(t, s, "1")
			check(t, "status", a.status, http.StatusCreated)
			check(t, "issued", s.Counts().Issued, 0)
			if m == passporttest.NotJSON {
				check(t, "JSON", json.Valid(a.body), false)
				return
			}
			value := a.field(t, "token").(string)
			switch m {
			case passporttest.EmptyToken:
				check(t, "token", value, "")
			case passporttest.TokenWithNewline:
				check(t, "has a newline", strings.Contains(value, "\n"), true)
			case passporttest.UndecodableToken:
				check(t, "parts", strings.Count(value, ".")+1, 3)
			case passporttest.ExpiredBeforeIssued:
				_, c := claims(t, value)
				check(t, "exp before iat", integer(t, c["exp"]) < integer(t, c["iat"]), true)
			case passporttest.ExpiresNever:
				_, c := claims(t, value)
				check(t, "exp", integer(t, c["exp"]), math.MaxInt64) // in the year 292277026596
			}
			if m != passporttest.TokenWithNewline { // net/http does not send a newline.
				check(t, "status of the token", get(t, s, value, "/v1/accounts/1"), http.StatusUnauthorized)
			}
		})
	}
}

func TestFault_WrongRequestIsStillRefused(t *testing.T) {
	for _, fault := range []passporttest.Fault{
		passporttest.WrongAccount("2"), passporttest.MixUp(), passporttest.Oversized(0),
		passporttest.Malformed(passporttest.ExpiresNever), passporttest.SlowHeaders(0),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			s := passporttest.NewServer(t, passporttest.Config{})
			wrong := newTokenRequest(t, s, "1")
			s.RotateSecret()
			s.Fail(fault)
			a, err := send(t, s.Client(), wrong)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "status", a.status, http.StatusUnauthorized)
		})
	}
}
