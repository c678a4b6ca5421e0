// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestRefusals_AreComplete(t *testing.T) {
	kinds, names := map[string]int{}, map[string]bool{}
	for _, r := range passporttest.Refusals() {
		if names[r.Name] {
			t.Errorf("%s is listed twice", r.Name)
		}
		names[r.Name] = true
		kinds[fmt.Sprint(r.Status, " ", r.Kind)]++
		if r.Body == "" {
			check(t, "content type of "+r.Name, r.ContentType, "")
			continue
		}
		var body struct {
			Code      string `json:"code"`
			ErrorCode string `json:"error_code"`
			Message   string `json:"message"`
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
			t.Errorf("%s: the body is not JSON: %v", r.Name, err)
		}
		check(t, "content type of "+r.Name, r.ContentType, "application/json")
		check(t, r.Name+" has its code in its body", r.Code == body.Code || r.Code == body.ErrorCode, true)
		check(t, r.Name+" has a message", body.Message != "", true)
	}
	for kind, want := range map[string]int{"401 token": 9, "401 account": 7, "401 business": 6, "401 provider": 1} {
		check(t, "number of "+kind, kinds[kind], want)
	}
}

// The numbers come from Pismo's OpenAPI files, which list the operations with a
// documented 401. The test finds errors in the table.
func TestDocumentedCases_CoverEveryMethod(t *testing.T) {
	pairs, operations, empty, refused := map[string]bool{}, 0, 0, map[string]bool{}
	for _, c := range passporttest.DocumentedCases() {
		pair := c.Method + " " + c.Refusal.Name
		if pairs[pair] {
			t.Errorf("%s is listed twice", pair)
		}
		pairs[pair] = true
		operations += c.Operations
		if c.Refusal.Body == "" {
			empty += c.Operations
		}
		check(t, "status of "+pair, c.Refusal.Status, http.StatusUnauthorized)
		refused[c.Refusal.Name] = true
		if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "{}") {
			t.Errorf("%s has the path %s", pair, c.Path)
		}
	}
	check(t, "pairs", len(pairs), 55)
	check(t, "refusals", len(refused), 23)
	check(t, "operations", operations, 447)
	check(t, "operations with no documented body", empty, 256)
}

func TestDocumentedCases_CanBeShown(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	value := newToken(t, s, "1")
	for _, c := range passporttest.DocumentedCases() {
		t.Run(c.Method+" "+c.Refusal.Name, func(t *testing.T) {
			s.Refuse(c.Refusal.OnPath(c.Method + " " + c.Path))
			a := do(t, s, value, c.Method, c.Path, "")
			check(t, "status", a.status, c.Refusal.Status)
			check(t, "content type", a.header.Get("Content-Type"), c.Refusal.ContentType)
			check(t, "body", string(a.body), c.Refusal.Body)
			check(t, "has x-cid", a.header.Get("X-Cid") != "", true)
			check(t, "status after that", do(t, s, value, c.Method, c.Path, "").status, http.StatusNotFound)
		})
	}
	check(t, "scripted", s.Counts().Scripted, len(passporttest.DocumentedCases()))
}

func TestRefusal_AnyMethod(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	value := newToken(t, s, "1")
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	for _, method := range methods {
		for _, r := range passporttest.Refusals() {
			a := do(t, s, value, method, "/v1/refusals/"+r.Name, "{}")
			check(t, "status", a.status, r.Status)
			check(t, "body", string(a.body), r.Body)
		}
	}
	check(t, "accepted", s.Counts().Accepted, 0)
	for _, d := range s.Deliveries() {
		check(t, "carried out", d.Status < 300, false)
	}
	s.RevokeAll()
	check(t, "body when revoked", string(do(t, s, value, http.MethodPost, "/v1/refusals/EUPI0120", "").body), "")
}

func TestRefusal_MatchesItsRequests(t *testing.T) {
	refusal := passporttest.Refusal{Status: http.StatusTeapot}
	for name, tt := range map[string]struct {
		refusal               passporttest.Refusal
		account, method, path string
		refused               bool
	}{
		"everything":          {refusal, "1", "GET", "/v1/accounts/1", true},
		"its account":         {refusal.ForAccount("1"), "1", "GET", "/v1/accounts/1", true},
		"another account":     {refusal.ForAccount("2"), "1", "GET", "/v1/accounts/1", false},
		"the organization":    {refusal.ForAccount(""), "", "GET", "/v1/organization", true},
		"not an organization": {refusal.ForAccount(""), "1", "GET", "/v1/accounts/1", false},
		"its path":            {refusal.OnPath("/v1/payments"), "1", "POST", "/v1/payments", true},
		"another path":        {refusal.OnPath("/v1/payments"), "1", "GET", "/v1/accounts/1", false},
		"a path above":        {refusal.OnPath("/v1/"), "1", "GET", "/v1/accounts/1", true},
		"no path above":       {refusal.OnPath("/v1"), "1", "GET", "/v1/accounts/1", false},
		"its method":          {refusal.OnPath("POST /v1/payments"), "1", "POST", "/v1/payments", true},
		"another method":      {refusal.OnPath("GET /v1/payments"), "1", "POST", "/v1/payments", false},
		"both":                {refusal.OnPath("POST /v1/payments").ForAccount("1"), "1", "POST", "/v1/payments", true},
		"only the path":       {refusal.OnPath("POST /v1/payments").ForAccount("2"), "1", "POST", "/v1/payments", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := passporttest.NewInProcess(t, passporttest.Config{})
			s.Refuse(tt.refusal)
			status := do(t, s, newToken(t, s, tt.account), tt.method, tt.path, "").status
			check(t, "refused", status == http.StatusTeapot, tt.refused)
		})
	}
}

func TestRefusal_OrderAndCount(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	one, two := newToken(t, s, "1"), newToken(t, s, "2")
	s.Refuse(passporttest.Refusal{Status: 503}.Times(2), passporttest.Refusal{Status: 429}.ForAccount("2"))
	s.Refuse(passporttest.Refusal{Status: 409})
	for i, want := range []struct {
		token, path string
		status      int
	}{
		{one, "/v1/accounts/1", 503}, {two, "/v1/accounts/2", 503}, {one, "/v1/accounts/1", 409},
		{one, "/v1/accounts/1", 200}, {two, "/v1/accounts/2", 429}, {two, "/v1/accounts/2", 200},
	} {
		check(t, fmt.Sprint("status of request ", i), get(t, s, want.token, want.path), want.status)
	}
}

func TestRefusal_StatusAndHeader(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.Refuse(passporttest.Refusal{
		Header: http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}}, ContentType: "text/plain", Body: "no",
	})
	a := do(t, s, newToken(t, s, "1"), http.MethodGet, "/v1/accounts/1", "")
	check(t, "status", a.status, http.StatusUnauthorized)
	check(t, "WWW-Authenticate", a.header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`)
	check(t, "content type", a.header.Get("Content-Type"), "text/plain")
	check(t, "body", string(a.body), "no")
}

func TestRefusal_BadTokenUsesNoneUp(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	s.Refuse(passporttest.Refusal{Status: 503})
	check(t, "status of the bad one", get(t, s, "bad", "/v1/accounts/1"), http.StatusUnauthorized)
	check(t, "status of a good one", get(t, s, newToken(t, s, "1"), "/v1/accounts/1"), 503)
}

func TestRefusal_ConfiguredForTokens(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{TokenRefusal: passporttest.MustRefusal("ERR9786")})
	a := do(t, s, "bad", http.MethodGet, "/v1/accounts/1", "")
	check(t, "status", a.status, http.StatusUnauthorized)
	check(t, "body", string(a.body), `{"error_code": "ERR9786", "message": "Access token is missing or invalid"}`)
}

func TestFindRefusal_Undocumented(t *testing.T) {
	_, ok := passporttest.FindRefusal("NONE")
	check(t, "found", ok, false)
	defer func() { check(t, "MustRefusal panics", recover() != nil, true) }()
	passporttest.MustRefusal("NONE")
}
