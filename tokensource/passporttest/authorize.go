// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"context"
	"net/http"
	"strings"
)

// serveResource checks the token of a request to the resource API, and serves
// or refuses the request.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request) {
	token, reason := s.authorize(r)
	refusal, refused := s.refusalOf(r, token, reason)
	s.requests.count(func(c *Counts) { c.addResourceRequest(token, reason, refused) })
	switch {
	case !refused:
		s.api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
	case s.config.Resource != nil, r.URL.Path == uploadsPath, r.Method == http.MethodGet, r.Method == http.MethodHead:
		if r.ContentLength < 0 && r.ProtoMajor == 1 {
			// net/http would wait for a body of unknown length.
			w.Header().Set("Connection", "close")
		}
		refusal.write(w)
	default:
		if _, ok := s.receive(w, r, token, refusal.status()); ok {
			refusal.write(w)
		}
	}
}

// refusalOf returns the refusal of a request, and whether there is one. The
// token of the request has to be refused for reason, if reason is not "".
func (s *Server) refusalOf(r *http.Request, token Token, reason RefusalReason) (Refusal, bool) {
	switch reason {
	case "":
	case ReasonAccount:
		return FindRefusal("WCAC0001")
	case ReasonGroup:
		return Refusal{Status: http.StatusForbidden, ContentType: "application/json", Body: `{"message":"Forbidden"}`}, true
	default:
		return s.config.TokenRefusal, true
	}
	if refusal, ok := s.refusals.take(r, token); ok {
		return refusal, true
	}
	if name, ok := strings.CutPrefix(r.URL.Path, refusalsPath); ok && s.config.Resource == nil {
		return FindRefusal(name)
	}
	return Refusal{}, false
}

// authorize returns the token of a request. The reason is not "" if the token
// must be refused.
func (s *Server) authorize(r *http.Request) (token Token, reason RefusalReason) {
	fields := r.Header["Authorization"]
	switch {
	case len(fields) == 0:
		return Token{}, ReasonMissing
	case len(fields) > 1:
		return Token{}, ReasonTwoFields
	}
	value := fields[0]
	scheme, credentials, hasScheme := strings.Cut(value, " ")
	switch {
	case s.config.Bare == hasScheme, hasScheme && !strings.EqualFold(scheme, "Bearer"):
		return Token{}, ReasonScheme
	case hasScheme:
		value = credentials
	}
	token, reason = s.tokens.find(value, s.now())
	if reason == "" && s.config.Resource == nil && !token.allows(r.URL.Path) {
		reason = ReasonAccount
	}
	if reason == "" && !s.openID.reaches(token.Group, r) {
		reason = ReasonGroup
	}
	return token, reason
}

// allows reports whether the token gives access to a path of the resource API.
func (t Token) allows(path string) bool {
	if t.Account == "" {
		return true
	}
	if id, ok := strings.CutPrefix(path, accountsPath); ok {
		return id == t.Account
	}
	return path != organizationPath
}
