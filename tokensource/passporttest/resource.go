// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The paths of the resource API. Those with a slash at the end are prefixes.
const (
	accountsPath     = "/v1/accounts/"
	organizationPath = "/v1/organization"
	paymentsPath     = "/v1/payments"
	uploadsPath      = "/v1/uploads"
	refusalsPath     = "/v1/refusals/"
)

// maxBody is the maximum size in bytes of a body that is not an upload.
const maxBody = 1 << 20

// resourceAPI returns the resource API. It does not check tokens.
func (s *Server) resourceAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+accountsPath+"{id}", s.serveAccount)
	mux.HandleFunc("GET "+organizationPath, s.serveOrganization)
	mux.HandleFunc("POST "+paymentsPath, s.servePayment)
	mux.HandleFunc("POST "+uploadsPath, s.serveUpload)
	mux.HandleFunc("PUT "+uploadsPath, s.serveUpload)
	return mux
}

func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := tokensource.ParseAccountID(id); err != nil || !s.exists(id) {
		writeJSON(w, http.StatusNotFound, message{"Account not found"})
		return
	}
	writeJSON(w, http.StatusOK, struct {
		AccountID json.Number `json:"account_id"`
		Status    string      `json:"status"`
	}{json.Number(id), "NORMAL"})
}

func (s *Server) serveOrganization(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Tenant string `json:"tenant"`
		Name   string `json:"name"`
	}{tenant, "passporttest"})
}

// A receipt is the answer to a request that was carried out.
type receipt struct {
	ID      string `json:"id"`
	Account string `json:"account_id,omitempty"`
	Length  int64  `json:"length"`
	SHA256  string `json:"sha256"`
}

func (s *Server) servePayment(w http.ResponseWriter, r *http.Request) {
	s.carryOut(w, r, http.StatusCreated)
}

func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	s.carryOut(w, r, http.StatusOK)
}

// carryOut reads the body, and answers with status and a receipt.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, status int) {
	token, _ := TokenFromContext(r.Context())
	if d, ok := s.receive(w, r, token, status); ok {
		writeJSON(w, status, receipt{newUUID(), d.Account, d.Length, d.SHA256})
	}
}

// receive reads the body, and records the delivery. It returns false if the
// body is too large; the request is answered then.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, token Token, status int) (Delivery, bool) {
	body := r.Body
	if r.URL.Path != uploadsPath {
		body = http.MaxBytesReader(w, body, maxBody)
	}
	digest := sha256.New()
	n, err := io.Copy(digest, body)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		writeJSON(w, http.StatusRequestEntityTooLarge, message{"The body is too large"})
		return Delivery{}, false
	}
	if err != nil {
		abort()
	}
	d := Delivery{
		Method:  r.Method,
		Path:    r.URL.Path,
		Account: token.Account,
		Length:  n,
		SHA256:  hex.EncodeToString(digest.Sum(nil)),
		Status:  status,
	}
	s.requests.addDelivery(d)
	return d, true
}
