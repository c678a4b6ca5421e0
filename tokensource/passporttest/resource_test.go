// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestResource_BadAuthorizationIsEmpty401(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	good := newToken(t, s, "1")
	altered := good[:len(good)-4] + strings.Repeat("A", 4)
	other := newToken(t, passporttest.NewServer(t, passporttest.Config{}), "1")
	for name, tt := range map[string]struct {
		authorization []string
		reason        passporttest.RefusalReason
	}{
		"none":           {nil, passporttest.ReasonMissing},
		"two":            {[]string{"Bearer " + good, "Bearer " + good}, passporttest.ReasonTwoFields},
		"bare":           {[]string{good}, passporttest.ReasonScheme},
		"scheme only":    {[]string{"Bearer"}, passporttest.ReasonScheme},
		"basic":          {[]string{"Basic " + good}, passporttest.ReasonScheme},
		"two spaces":     {[]string{"Bearer  " + good}, passporttest.ReasonUnknown},
		"of another":     {[]string{"Bearer " + other}, passporttest.ReasonUnknown},
		"altered":        {[]string{"Bearer " + altered}, passporttest.ReasonUnknown},
		"without an end": {[]string{"Bearer " + good[:len(good)-1]}, passporttest.ReasonUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.Counts().Refused[tt.reason]
			r := request(t, s, http.MethodGet, "/v1/accounts/1", "")
			r.Header["Authorization"] = tt.authorization
			a, err := send(t, s.Client(), r)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "status", a.status, http.StatusUnauthorized)
			check(t, "body", string(a.body), "")
			check(t, "has x-cid", a.header.Get("X-Cid") != "", true)
			check(t, "refused", s.Counts().Refused[tt.reason]-before, 1)
		})
	}
	check(t, "accepted", s.Counts().Accepted, 0)
	check(t, "the good one's status", get(t, s, good, "/v1/accounts/1"), http.StatusOK)
}

func TestResource_SchemeIsCaseInsensitive(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	r := request(t, s, http.MethodGet, "/v1/organization", "")
	r.Header.Set("Authorization", "bearer "+newToken(t, s, ""))
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status", a.status, http.StatusOK)
}

func TestResource_BareOnly(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Bare: true})
	value := newToken(t, s, "1")
	check(t, "status with Bearer", get(t, s, value, "/v1/accounts/1"), http.StatusUnauthorized)
	r := request(t, s, http.MethodGet, "/v1/accounts/1", "")
	r.Header.Set("Authorization", value)
	a, err := send(t, s.Client(), r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "status of the bare token", a.status, http.StatusOK)
}

func TestResource_ExpiryFollowsItsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{ClockSkew: -time.Hour, Lifetime: time.Minute})
		value := newToken(t, s, "1")
		<-time.After(time.Minute - 1)
		check(t, "status just before", get(t, s, value, "/v1/accounts/1"), http.StatusOK)
		<-time.After(1)
		check(t, "status after", get(t, s, value, "/v1/accounts/1"), http.StatusUnauthorized)
		check(t, "expired", s.Counts().Refused[passporttest.ReasonExpired], 1)
	})
}

func TestResource_ShortLifeIsNotRounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := passporttest.NewInProcess(t, passporttest.Config{Lifetime: time.Second})
		<-time.After(900 * time.Millisecond) // Bubbles begin at a whole second.
		value := newToken(t, s, "1")
		<-time.After(999 * time.Millisecond)
		check(t, "status", get(t, s, value, "/v1/accounts/1"), http.StatusOK)
	})
}

func TestRevoke_OneAccount(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		one, two, organization := newToken(t, s, "1"), newToken(t, s, "2"), newToken(t, s, "")
		s.Revoke("1")
		check(t, "status of account 1", get(t, s, one, "/v1/accounts/1"), http.StatusUnauthorized)
		check(t, "status of account 2", get(t, s, two, "/v1/accounts/2"), http.StatusOK)
		check(t, "status of the organization", get(t, s, organization, "/v1/accounts/1"), http.StatusOK)
		check(t, "status of a new token", get(t, s, newToken(t, s, "1"), "/v1/accounts/1"), http.StatusOK)
		s.Revoke("")
		check(t, "status of the organization, revoked", get(t, s, organization, "/v1/accounts/1"), http.StatusUnauthorized)
		check(t, "status of account 2, still", get(t, s, two, "/v1/accounts/2"), http.StatusOK)
		check(t, "revoked", s.Counts().Refused[passporttest.ReasonRevoked], 2)
	})
}

func TestRevokeAll_RefusesEveryToken(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	one, organization := newToken(t, s, "1"), newToken(t, s, "")
	s.RevokeAll()
	check(t, "status of account 1", get(t, s, one, "/v1/accounts/1"), http.StatusUnauthorized)
	check(t, "status of the organization", get(t, s, organization, "/v1/organization"), http.StatusUnauthorized)
	check(t, "status of a new token", get(t, s, newToken(t, s, "1"), "/v1/accounts/1"), http.StatusOK)
}

func TestResource_TokenReachesItsAccountOnly(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	one, organization := newToken(t, s, "1"), newToken(t, s, "")
	for _, path := range []string{"/v1/accounts/2", "/v1/accounts/", "/v1/organization"} {
		a := do(t, s, one, http.MethodGet, path, "")
		check(t, "status of "+path, a.status, http.StatusUnauthorized)
		check(t, "body of "+path, string(a.body), `{"code": "WCAC0001", "message": "Account not authorized"}`)
	}
	check(t, "refused", s.Counts().Refused[passporttest.ReasonAccount], 3)
	a := do(t, s, one, http.MethodGet, "/v1/accounts/1", "")
	check(t, "account", a.field(t, "account_id"), any(json.Number("1")))
	for _, path := range []string{"/v1/accounts/1", "/v1/accounts/2", "/v1/organization"} {
		check(t, "status of "+path+" for the organization", get(t, s, organization, path), http.StatusOK)
	}
}

func TestResource_UnknownPathIs404(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Accounts: []string{"1"}})
	organization := newToken(t, s, "")
	for _, path := range []string{"/", "/v1/accounts/2", "/v1/accounts/x", "/v1/refusals/NONE", "/passport"} {
		check(t, "status of "+path, get(t, s, organization, path), http.StatusNotFound)
	}
	check(t, "status of another method", do(t, s, organization, http.MethodDelete, "/v1/payments", "").status, http.StatusMethodNotAllowed)
}

func TestPayments_CountForTheAccount(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		const body = `{"amount": 10}`
		sum := sha256.Sum256([]byte(body))
		a := do(t, s, newToken(t, s, "1"), http.MethodPost, "/v1/payments", body)
		check(t, "status", a.status, http.StatusCreated)
		check(t, "account_id", a.field(t, "account_id"), any("1"))
		check(t, "length", a.field(t, "length"), any(json.Number("14")))
		check(t, "sha256", a.field(t, "sha256"), any(hex.EncodeToString(sum[:])))
		check(t, "has an id", a.field(t, "id") != "", true)
		deliveries := s.Deliveries()
		check(t, "deliveries", len(deliveries), 1)
		check(t, "delivery", deliveries[0], passporttest.Delivery{
			Method: "POST", Path: "/v1/payments", Account: "1",
			Length: 14, SHA256: hex.EncodeToString(sum[:]), Status: http.StatusCreated,
		})
	})
}

func TestPayments_RefusedBodyIsADelivery(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	value := newToken(t, s, "1")
	s.Revoke("1")
	check(t, "status", do(t, s, value, http.MethodPost, "/v1/payments", "{}").status, http.StatusUnauthorized)
	deliveries := s.Deliveries()
	check(t, "deliveries", len(deliveries), 1)
	check(t, "status of the delivery", deliveries[0].Status, http.StatusUnauthorized)
	check(t, "account of the delivery", deliveries[0].Account, "1")
}

func TestPayments_TooLargeIsRefused(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	a := do(t, s, newToken(t, s, "1"), http.MethodPost, "/v1/payments", strings.Repeat(" ", 1<<20+1))
	check(t, "status", a.status, http.StatusRequestEntityTooLarge)
	check(t, "deliveries", len(s.Deliveries()), 0)
}

// zeros is an endless body that needs no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUpload_ConstantMemory(t *testing.T) {
	const length = 64 << 20
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		digest := sha256.New()
		_, _ = io.CopyN(digest, zeros{}, length)
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/v1/uploads", io.LimitReader(zeros{}, length))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+newToken(t, s, "1"))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a, err := send(t, s.Client(), r)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			check(t, "status", a.status, http.StatusOK)
			check(t, "length", a.field(t, "length"), any(json.Number("67108864")))
			check(t, "sha256", a.field(t, "sha256"), any(hex.EncodeToString(digest.Sum(nil))))
			if used := after.TotalAlloc - before.TotalAlloc; used > length/16 {
				t.Errorf("%d bytes were allocated for an upload of %d", used, length)
			}
		}
	})
}

func TestUpload_RefusedBeforeItIsRead(t *testing.T) {
	forEachServer(t, zeroConfig, func(t *testing.T, s *passporttest.Server) {
		body, stillOpen := io.Pipe()
		defer stillOpen.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/v1/uploads", body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		check(t, "status", response.StatusCode, http.StatusUnauthorized)
		check(t, "deliveries", len(s.Deliveries()), 0)
	})
}

func TestConfig_OwnResource(t *testing.T) {
	config := func() passporttest.Config {
		return passporttest.Config{Resource: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := passporttest.TokenFromContext(r.Context())
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+token.Account+" "+string(body))
			if !ok || token.Serial != 1 || token.Expires.Sub(token.Issued) != 10*time.Minute {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})}
	}
	forEachServer(t, config, func(t *testing.T, s *passporttest.Server) {
		value := newToken(t, s, "1")
		check(t, "answer", string(do(t, s, value, "PATCH", "/v1/accounts/2", "x").body), "PATCH /v1/accounts/2 1 x")
		s.RevokeAll()
		check(t, "status when revoked", do(t, s, value, "PATCH", "/any", "x").status, http.StatusUnauthorized)
	})
}

func TestHandler_BehindAnotherServer(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	own := httptest.NewServer(s.Handler())
	defer own.Close()
	response, err := own.Client().Get(own.URL + "/v1/organization") //nolint:noctx // The request is short.
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	check(t, "status", response.StatusCode, http.StatusUnauthorized)
}

func TestTokenFromContext_OnlyInItsRequest(t *testing.T) {
	if _, ok := passporttest.TokenFromContext(t.Context()); ok {
		t.Error("a context without a request has a token")
	}
}
