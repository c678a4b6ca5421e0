package passporttest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource"
)

// s2sPath is the path of the token endpoint for servers, with "basic
// authentication with client credentials".
const s2sPath = "/passport/v2/s2s/access-token"

// tenant is the one whose keys these are.
const tenant = "TN-ab8b08af-8a20-44e3-a7ad-8329b3e42fa4"

func roles() []string { return []string{"onboarding-server", "account-server", "crm-server"} }

// An ask is a token request, as far as it could be read.
type ask struct {
	serverKey, serverSecret string
	account                 string // "" is the organization
	refusal                 *refusedAsk
}

// A refusedAsk is the answer to a token request that gets no token.
type refusedAsk struct {
	status  int
	message string
}

func refuseAsk(status int, message string) ask { return ask{refusal: &refusedAsk{status, message}} }

// A grant is the answer to a token request that does. The fields are those of
// the schema in Pismo's OpenAPI file.
type grant struct {
	Tenant            string          `json:"tenant"`
	ServerKey         string          `json:"server_key"`
	ProgramIDs        []int           `json:"program_ids"`
	AccountID         json.Number     `json:"account_id,omitempty"`
	ExternalAccountID string          `json:"external_account_id,omitempty"`
	Roles             []string        `json:"roles"`
	Token             string          `json:"token"`
	Refresh           string          `json:"refresh"`
	ExpiresIn         json.RawMessage `json:"expires_in,omitempty"` // for ExpiresIn
	Padding           string          `json:"padding,omitempty"`    // for Oversized
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	ask := s.readAsk(w, r)
	s.tally.note(func(c *Counts) {
		c.TokenRequests++
		if ask.serverKey != "" { // Otherwise it could not be read.
			c.forAccount(ask.account, func(a *AccountCounts) { a.TokenRequests++ })
		}
	})
	pause(r.Context(), s.config.Latency)
	if fault, ok := s.faults.take(); ok {
		s.tally.note(func(c *Counts) { c.Faults++ })
		fault.serve(s, w, r, ask)
		return
	}
	s.answer(w, ask)
}

// answer answers a token request as Passport does.
func (s *Server) answer(w http.ResponseWriter, ask ask) {
	if s.refuses(w, ask) {
		return
	}
	writeJSON(w, http.StatusCreated, s.grant(ask, ask.account))
}

// refuses reports whether there is something wrong with the token request; if
// so, it has been answered.
func (s *Server) refuses(w http.ResponseWriter, ask ask) bool {
	refused := ask.refusal
	switch {
	case refused != nil:
	case !s.credentials.valid(ask.serverKey, ask.serverSecret), !s.exists(ask.account):
		refused = &refusedAsk{http.StatusUnauthorized, "Invalid credentials"}
	default:
		return false
	}
	s.tally.note(func(c *Counts) { c.Rejected++ })
	if refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	writeJSON(w, refused.status, message{refused.message})
	return true
}

func (s *Server) exists(account string) bool {
	return account == "" || s.config.Accounts == nil || slices.Contains(s.config.Accounts, account)
}

// grant issues a token for account, and answers ask with it.
func (s *Server) grant(ask ask, account string) grant {
	return ask.grant(account, s.issue(account, ask.serverKey))
}

// grant returns the answer that names account and has token in it.
func (a ask) grant(account, token string) grant {
	g := grant{
		Tenant:     tenant,
		ServerKey:  a.serverKey,
		ProgramIDs: []int{101, 102, 103},
		Roles:      roles(),
		Token:      token,
		Refresh:    token,
	}
	g.name(account)
	return g
}

// name has the answer name an account, or none for the organization.
func (g *grant) name(account string) {
	g.AccountID, g.ExternalAccountID = json.Number(account), ""
	if account != "" {
		g.ExternalAccountID = "external-" + account
	}
}

// maxAsk is how many bytes a token request may have.
const maxAsk = 64 << 10

// readAsk reads a token request. It takes what the schema has and nothing
// else, field by field: encoding/json would forgive the wrong case of a name,
// and a misspelt account_id would be a token for the whole organization.
func (s *Server) readAsk(w http.ResponseWriter, r *http.Request) ask {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAsk))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return refuseAsk(http.StatusRequestEntityTooLarge, "The request is too large")
	}
	if err != nil {
		abort()
	}
	if r.Method != http.MethodPost {
		return refuseAsk(http.StatusMethodNotAllowed, "Method not allowed")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuseAsk(http.StatusUnsupportedMediaType, "The content type is not application/json")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return refuseAsk(http.StatusBadRequest, "The request is not a JSON object")
	}
	return parseAsk(fields)
}

func parseAsk(fields map[string]json.RawMessage) ask {
	var a ask
	for name, value := range fields {
		switch name {
		case "server_key":
			a.serverKey = text(value)
		case "server_secret":
			a.serverSecret = text(value)
		case "account_id":
			// A number is its own text; quotes, null and fractions are not ids.
			a.account = string(value)
			if _, err := tokensource.ParseAccountID(a.account); err != nil {
				return refuseAsk(http.StatusBadRequest, "account_id is not a positive integer; leave it out for the organization")
			}
		default:
			return refuseAsk(http.StatusBadRequest, "The request has a field that the schema does not: "+strings.ToValidUTF8(name, "?"))
		}
	}
	if a.serverKey == "" || a.serverSecret == "" {
		return refuseAsk(http.StatusBadRequest, "server_key and server_secret are required strings")
	}
	return a
}

// text returns a JSON string, or "" if it is not one.
func text(value json.RawMessage) string {
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
		panic(err) // Not reached: the values are ours.
	}
	return body
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // The client may be gone.
}
