// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// s2sPath is the path of the token endpoint for servers, which Pismo calls
// "basic authentication with client credentials".
const s2sPath = "/passport/v2/s2s/access-token"

// tenant is the tenant of all credentials.
const tenant = "TN-ab8b08af-8a20-44e3-a7ad-8329b3e42fa4"

func roles() []string { return []string{"onboarding-server", "account-server", "crm-server"} }

// A tokenRequest is a parsed token request.
type tokenRequest struct {
	serverKey, serverSecret string // empty if there is an assertion
	assertion               string
	account                 string     // "" is the organization
	externalAccount         string     // of an assertion that names one
	group                   string     // of an assertion
	replica                 string     // that sent the request
	rejection               *rejection // set if the request is malformed or its assertion refused
}

// A rejection is the answer to a token request that gets no token.
type rejection struct {
	status  int
	message string
}

func rejected(status int, message string) tokenRequest {
	return tokenRequest{rejection: &rejection{status, message}}
}

// A grant is the answer to a token request that gets a token. The fields are
// those of the two schemas in Pismo's OpenAPI file: for assertions, these are
// token, refresh_token and expires_in.
type grant struct {
	Tenant            string          `json:"tenant,omitempty"`
	ServerKey         string          `json:"server_key,omitempty"`
	ProgramIDs        []int           `json:"program_ids,omitempty"`
	AccountID         json.Number     `json:"account_id,omitempty"`
	ExternalAccountID string          `json:"external_account_id,omitempty"`
	Roles             []string        `json:"roles,omitempty"`
	Token             string          `json:"token"`
	Refresh           string          `json:"refresh,omitempty"`
	RefreshToken      string          `json:"refresh_token,omitempty"`
	ExpiresIn         json.RawMessage `json:"expires_in,omitempty"` // for assertions, and for ExpiresIn
	Padding           string          `json:"padding,omitempty"`    // for Oversized
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	request := s.readTokenRequest(w, r)
	request.replica = r.Header.Get(s.config.ReplicaHeader)
	if request.assertion != "" {
		if fault := s.readAssertion(&request); fault != "" {
			s.refuseAssertion(&request, fault)
		}
	}
	s.requests.count(func(c *Counts) {
		c.TokenRequests++
		if request.rejection == nil { // Otherwise the account may be unknown.
			c.forAccount(request.account, func(a *AccountCounts) { a.TokenRequests++ })
		}
	})
	pause(r.Context(), s.config.TokenLatency)
	if fault, ok := s.faults.take(); ok {
		s.requests.count(func(c *Counts) { c.Faults++ })
		fault.serve(s, w, r, request)
		return
	}
	s.answer(w, request)
}

// answer answers a token request as Passport does.
func (s *Server) answer(w http.ResponseWriter, request tokenRequest) {
	if s.refuses(w, request) {
		return
	}
	writeJSON(w, http.StatusCreated, s.grant(request, request.account))
}

// refuses reports whether the token request gets no token. If so, refuses has
// answered it.
func (s *Server) refuses(w http.ResponseWriter, request tokenRequest) bool {
	reject := request.rejection
	switch {
	case reject != nil:
	case request.assertion != "":
		if !s.config.OpenID.RefuseReuse || !s.openID.reuse(request.assertion) {
			return false
		}
		s.refuseAssertion(&request, FaultReused)
		reject = request.rejection
	case !s.credentials.valid(request.serverKey, request.serverSecret), !s.exists(request.account):
		reject = &rejection{http.StatusUnauthorized, "Invalid credentials"}
	default:
		return false
	}
	s.requests.count(func(c *Counts) { c.Rejected++ })
	if reject.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	writeJSON(w, reject.status, message{reject.message})
	return true
}

// refuseAssertion counts the fault of an assertion, and makes the request get
// the answer that Pismo documents for all faults.
func (s *Server) refuseAssertion(request *tokenRequest, fault AssertionFault) {
	s.requests.count(func(c *Counts) { c.Assertions[fault]++ })
	request.rejection = &rejection{http.StatusUnauthorized, "Invalid credentials"}
}

func (s *Server) exists(account string) bool {
	return account == "" || s.config.Accounts == nil || slices.Contains(s.config.Accounts, account)
}

// grant issues a token for account, and returns the answer with that token.
func (s *Server) grant(request tokenRequest, account string) grant {
	g := request.grant(account, s.issue(account, request))
	if request.assertion != "" {
		g.ExpiresIn = marshal(strconv.FormatInt(int64(s.config.Lifetime/time.Second), 10))
	}
	return g
}

// grant returns the answer that names account and contains token.
func (r tokenRequest) grant(account, token string) grant {
	if r.assertion != "" {
		return grant{Token: token, RefreshToken: token}
	}
	g := grant{
		Tenant:     tenant,
		ServerKey:  r.serverKey,
		ProgramIDs: []int{101, 102, 103},
		Roles:      roles(),
		Token:      token,
		Refresh:    token,
	}
	g.setAccount(account)
	return g
}

// setAccount makes the answer name an account, or none for the organization.
func (g *grant) setAccount(account string) {
	g.AccountID, g.ExternalAccountID = json.Number(account), ""
	if account != "" {
		g.ExternalAccountID = externalPrefix + account
	}
}

// maxTokenRequest is the maximum size of a token request in bytes.
const maxTokenRequest = 64 << 10

// readTokenRequest reads a token request. It accepts the fields of the schema
// only, and compares their names exactly: encoding/json would ignore the case
// of a name, and a misspelt account_id would get a token for the whole
// organization.
func (s *Server) readTokenRequest(w http.ResponseWriter, r *http.Request) tokenRequest {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenRequest))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return rejected(http.StatusRequestEntityTooLarge, "The request is too large")
	}
	if err != nil {
		abort()
	}
	if r.Method != http.MethodPost {
		return rejected(http.StatusMethodNotAllowed, "Method not allowed")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return rejected(http.StatusUnsupportedMediaType, "The content type is not application/json")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return rejected(http.StatusBadRequest, "The request is not a JSON object")
	}
	if r.URL.Path == openIDPath {
		return parseAssertionRequest(fields)
	}
	return parseTokenRequest(fields)
}

func parseTokenRequest(fields map[string]json.RawMessage) tokenRequest {
	var request tokenRequest
	for name, value := range fields {
		switch name {
		case "server_key":
			request.serverKey = stringOf(value)
		case "server_secret":
			request.serverSecret = stringOf(value)
		case "account_id":
			// The text of a JSON number is an id. Quotes, null and fractions
			// are not.
			request.account = string(value)
			if _, err := tokensource.ParseAccountID(request.account); err != nil {
				return rejected(http.StatusBadRequest, "account_id is not a positive integer; leave it out for the organization")
			}
		default:
			return rejected(http.StatusBadRequest, "The request has a field that the schema does not: "+strings.ToValidUTF8(name, "?"))
		}
	}
	if request.serverKey == "" || request.serverSecret == "" {
		return rejected(http.StatusBadRequest, "server_key and server_secret are required strings")
	}
	return request
}

// stringOf returns a JSON string, or "" if value is of another type.
func stringOf(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// A message is the schema of Pismo's simple errors.
type message struct {
	Message string `json:"message"`
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	write(w, status, "application/json", marshal(value))
}

func marshal(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // Unreachable: all values are types of this package.
	}
	return body
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // The client may have left.
}
