package passporttest

import (
	"context"
	"net/http"
	"strings"
)

// serveResource looks at the token, and then serves the request or refuses it.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request) {
	token, reason := s.verify(r)
	refusal, refused := s.refusalOf(r, token, reason)
	s.tally.note(func(c *Counts) { c.request(token, reason, refused) })
	switch {
	case !refused:
		s.api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
	case s.config.Resource != nil, r.URL.Path == uploadsPath, r.Method == http.MethodGet, r.Method == http.MethodHead:
		if r.ContentLength < 0 && r.ProtoMajor == 1 {
			// net/http would wait for a body whose length it does not know.
			w.Header().Set("Connection", "close")
		}
		refusal.write(w)
	default:
		if _, ok := s.receive(w, r, token, refusal.status()); ok {
			refusal.write(w)
		}
	}
}

// refusalOf returns what the request is answered instead of being served, if
// it is.
func (s *Server) refusalOf(r *http.Request, token Token, reason RefusalReason) (Refusal, bool) {
	switch reason {
	case "":
	case ReasonAccount:
		return FindRefusal("WCAC0001")
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

// verify returns the token of the request, and why it is refused, if it is.
func (s *Server) verify(r *http.Request) (Token, RefusalReason) {
	fields := r.Header["Authorization"]
	switch {
	case len(fields) == 0:
		return Token{}, ReasonMissing
	case len(fields) > 1:
		return Token{}, ReasonRepeated
	}
	value := fields[0]
	scheme, credentials, hasScheme := strings.Cut(value, " ")
	switch {
	case s.config.Bare == hasScheme, hasScheme && !strings.EqualFold(scheme, "Bearer"):
		return Token{}, ReasonScheme
	case hasScheme:
		value = credentials
	}
	token, reason := s.ledger.find(value, s.now())
	if reason == "" && s.config.Resource == nil && !token.reaches(r.URL.Path) {
		reason = ReasonAccount
	}
	return token, reason
}

// reaches reports whether a path of the resource API is in the token's reach.
func (t Token) reaches(path string) bool {
	if t.Account == "" {
		return true
	}
	if id, ok := strings.CutPrefix(path, accountsPath); ok {
		return id == t.Account
	}
	return path != organizationPath
}
