// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/tokensource"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI lets an operator read the state of the clients and invalidate
// tokens:
//
//	GET  /pismo/clients
//	POST /pismo/clients/<name>/invalidate
//
// The body of the POST is a JSON object. Its field account is an account's id,
// as a string or a number, or the word organization. Without a body, the
// request is for all accounts. The account is in the body because Caddy logs
// URIs.
//
// Both requests use the running configuration, even after another configuration
// failed to load.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.pismo",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// runningClients returns the clients of the running configuration.
func runningClients() map[string]*clientRef {
	if app, ok := activeApps.newest(); ok {
		return app.clientRefs
	}
	return nil
}

const adminClients = "/pismo/clients"

// Routes returns the routes of the API.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: adminClients, Handler: caddy.AdminHandlerFunc(a.list)},
		{Pattern: adminClients + "/", Handler: caddy.AdminHandlerFunc(a.invalidate)},
	}
}

// A clientStatus is the state of a client, as the API returns it.
type clientStatus struct {
	Name string `json:"name"`
	// The number of accounts in the cache, and the number of those with a token.
	Accounts int `json:"accounts"`
	Tokens   int `json:"tokens"`
	// The number of issuances, and the number of failed issuances by kind. Both
	// start at zero after a reload that changes what the tokens depend on.
	Issuances uint64                           `json:"issuances"`
	Failures  map[tokensource.ErrorKind]uint64 `json:"failures"`
	// The time at which the first token expires.
	NextExpiry *time.Time `json:"next_expiry,omitempty"`
	// The number of accounts in a cooldown after a failed issuance.
	CoolingDown int `json:"cooling_down"`
	// The time until which no token is issued for any account, and the reason.
	BreakerOpenUntil *time.Time            `json:"breaker_open_until,omitempty"`
	BreakerCause     tokensource.ErrorKind `json:"breaker_cause,omitempty"`
	// The state of the store that several Caddys share.
	Store *storeStatus `json:"store,omitempty"`
}

func statusOf(client *clientRef) clientStatus {
	status := client.source.Status()
	issuances, failures := client.report.Counts()
	return clientStatus{
		Name:             client.name,
		Accounts:         status.Accounts,
		Tokens:           status.Tokens,
		Issuances:        issuances,
		Failures:         failures,
		NextExpiry:       nilIfZero(status.NextExpiry),
		CoolingDown:      status.CoolingDown,
		BreakerOpenUntil: nilIfZero(status.BreakerOpenUntil),
		BreakerCause:     status.BreakerCause,
		Store:            storeStatusOf(client),
	}
}

func nilIfZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// list answers with the state of the clients.
func (*adminAPI) list(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return adminError(http.StatusMethodNotAllowed, "the method is not GET")
	}
	statuses := []clientStatus{}
	clients := runningClients()
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		statuses = append(statuses, statusOf(clients[name]))
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(statuses)
}

// invalidate invalidates tokens of a client.
func (*adminAPI) invalidate(w http.ResponseWriter, r *http.Request) error {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, adminClients+"/"), "/invalidate")
	if !ok || name == "" || strings.Contains(name, "/") {
		return adminError(http.StatusNotFound, "there is only "+adminClients+"/<name>/invalidate")
	}
	if r.Method != http.MethodPost {
		return adminError(http.StatusMethodNotAllowed, "the method is not POST")
	}
	client, ok := runningClients()[name]
	if !ok {
		return adminError(http.StatusNotFound, "there is no such client")
	}
	account, all, err := accountToInvalidate(r.Body)
	switch {
	case err != nil:
		return adminError(http.StatusBadRequest, err.Error())
	case all:
		client.source.InvalidateAll()
	default:
		client.source.Invalidate(account)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxInvalidateBody limits the body of a request to invalidate, in bytes.
const maxInvalidateBody = 4 << 10

var errInvalidateBody = errors.New(`the body is neither empty nor {"account": "<id>"} or {"account": "organization"}`)

// accountToInvalidate reads the account whose token is invalidated. Errors do
// not contain the account.
func accountToInvalidate(body io.Reader) (account tokensource.Account, all bool, err error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxInvalidateBody+1))
	switch {
	case err != nil || len(raw) > maxInvalidateBody:
		return account, false, errInvalidateBody
	case len(strings.TrimSpace(string(raw))) == 0:
		return account, true, nil
	}
	var request struct {
		Account json.RawMessage `json:"account"`
	}
	if err := caddy.StrictUnmarshalJSON(raw, &request); err != nil || request.Account == nil {
		return account, false, errInvalidateBody
	}
	id := strings.TrimSuffix(strings.TrimPrefix(string(request.Account), `"`), `"`)
	if id == organization {
		return tokensource.Organization(), false, nil
	}
	if account, err = tokensource.ParseAccountID(id); err != nil {
		return account, false, errInvalidateBody
	}
	return account, false, nil
}

func adminError(status int, text string) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf("pismo: %s", text)}
}

// Interface guard.
var _ caddy.AdminRouter = (*adminAPI)(nil)
