// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A RefusalKind says what a refusal is about.
type RefusalKind string

// The kinds of refusal.
const (
	// KindToken: the token was refused. A new token helps.
	KindToken RefusalKind = "token"
	// KindAccount: the token is for another account, or for none.
	KindWrongAccount RefusalKind = "account"
	// KindBusiness: the token is accepted, but not what the request asks for.
	KindBusiness RefusalKind = "business"
	// KindProvider: a provider that Pismo uses refused Pismo.
	KindProvider RefusalKind = "provider"
)

// A Refusal is an answer of the resource API to a request that it does not
// serve. [Refusals] returns the documented refusals; write a literal for any
// other. See [Server.Refuse].
type Refusal struct {
	// Name is unique among the documented refusals: the code, or a word for a
	// refusal without a code.
	Name string
	// Code is the error code in the body; empty if the body has none.
	Code string
	// Status is the status of the answer. 0 means 401.
	Status int
	// Header is added to the answer.
	Header http.Header
	// ContentType and Body are the Content-Type and the body of the answer.
	ContentType, Body string
	// Kind says what the refusal is about. The fake server does not use it.
	Kind RefusalKind

	method, path string  // of the requests that it matches; "" matches all
	account      *string // of the requests that it matches; nil matches all
	more         int     // how many further requests it refuses after the first
}

// OnPath returns a copy of r that matches one path only. A pattern that ends in
// a slash matches all paths below it. A method may precede the path, as in
// "POST /v1/payments".
func (r Refusal) OnPath(pattern string) Refusal {
	r.method, r.path = "", pattern
	if method, path, ok := strings.Cut(pattern, " "); ok {
		r.method, r.path = method, path
	}
	return r
}

// ForAccount returns a copy of r that matches only requests with a token of one
// account; "" is the organization.
func (r Refusal) ForAccount(account string) Refusal {
	r.account = &account
	return r
}

// Times returns a copy of r that refuses n requests. An n below 1 means 1.
func (r Refusal) Times(n int) Refusal {
	r.more = max(n, 1) - 1
	return r
}

// matches reports whether r refuses the request.
func (r Refusal) matches(request *http.Request, token Token) bool {
	path := request.URL.Path
	return (r.method == "" || r.method == request.Method) &&
		(r.path == "" || r.path == path || strings.HasSuffix(r.path, "/") && strings.HasPrefix(path, r.path)) &&
		(r.account == nil || *r.account == token.Account)
}

func (r Refusal) status() int { return cmp.Or(r.Status, http.StatusUnauthorized) }

// write answers with the refusal.
func (r Refusal) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.Header)
	write(w, r.status(), r.ContentType, []byte(r.Body))
}

// refusals are the refusals that the next resource requests may get.
type refusals struct {
	mu     sync.Mutex
	script []Refusal
}

// Refuse makes the Server refuse the next resource requests, each with the
// first unused refusal that matches it. Only requests with an accepted token
// get and use up a refusal. The Server does not carry out a refused request.
func (s *Server) Refuse(refusals ...Refusal) {
	s.refusals.mu.Lock()
	defer s.refusals.mu.Unlock()
	s.refusals.script = append(s.refusals.script, refusals...)
}

// take returns the refusal for a request, and whether there is one.
func (r *refusals) take(request *http.Request, token Token) (Refusal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.script {
		refusal := r.script[i]
		if !refusal.matches(request, token) {
			continue
		}
		if r.script[i].more--; refusal.more <= 0 {
			r.script = slices.Delete(r.script, i, i+1)
		}
		return refusal, true
	}
	return Refusal{}, false
}

// FindRefusal returns the documented refusal with the given name, and whether
// there is one. The name is the code, such as "WCAC0001". The refusals without
// a code are called "empty", "message", "forbidden" and "denied".
func FindRefusal(name string) (Refusal, bool) {
	for _, r := range Refusals() {
		if r.Name == name {
			return r, true
		}
	}
	return Refusal{}, false
}

// MustRefusal is [FindRefusal] for a constant name. It panics if no documented
// refusal has that name.
func MustRefusal(name string) Refusal {
	r, ok := FindRefusal(name)
	if !ok {
		panic("passporttest: no documented refusal is called " + name)
	}
	return r
}
