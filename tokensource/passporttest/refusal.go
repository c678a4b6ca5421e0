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
	// KindToken: the token was refused; another one helps.
	KindToken RefusalKind = "token"
	// KindAccount: the token is for the wrong account, or for none.
	KindAccount RefusalKind = "account"
	// KindBusiness: the request was understood, and refused for what it asks.
	KindBusiness RefusalKind = "business"
	// KindProvider: somebody behind Pismo refused Pismo.
	KindProvider RefusalKind = "provider"
)

// A Refusal is an answer of the resource API other than the one hoped for. The
// documented ones are [Refusals]; any other is a literal. See [Server.Refuse].
type Refusal struct {
	// Name is unique among the documented refusals: the code, or a word for
	// those that have none.
	Name string
	// Code is that of the body; empty if it has none.
	Code string
	// Status is that of the answer. 0 means 401.
	Status int
	// Header is added to the answer.
	Header http.Header
	// ContentType and Body are those of the answer.
	ContentType, Body string
	// Kind is what the refusal is about. The fake server makes no use of it.
	Kind RefusalKind

	method, path string  // what it is for; "" is everything
	account      *string // whom it is for; nil is everybody
	more         int     // how many requests it takes, after the first
}

// OnPath returns a copy of r that is for one path only; or for all paths below it,
// if it ends in a slash. A method may stand before it, as in
// "POST /v1/payments".
func (r Refusal) OnPath(pattern string) Refusal {
	r.method, r.path = "", pattern
	if method, path, ok := strings.Cut(pattern, " "); ok {
		r.method, r.path = method, path
	}
	return r
}

// ForAccount returns a copy of r that is for requests with tokens of one account
// only; "" is the organization.
func (r Refusal) ForAccount(account string) Refusal {
	r.account = &account
	return r
}

// Times returns a copy of r that takes n requests, at least one.
func (r Refusal) Times(n int) Refusal {
	r.more = max(n, 1) - 1
	return r
}

// takes reports whether r is for the request.
func (r Refusal) takes(request *http.Request, token Token) bool {
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

// refusals are those that lie ahead.
type refusals struct {
	mu     sync.Mutex
	script []Refusal
}

// Refuse has the next resource requests be refused, each with the first of the
// refusals that is for it and was not used yet. Only requests whose token is
// good count, and nothing that they ask for is carried out.
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
		if !refusal.takes(request, token) {
			continue
		}
		if r.script[i].more--; refusal.more <= 0 {
			r.script = slices.Delete(r.script, i, i+1)
		}
		return refusal, true
	}
	return Refusal{}, false
}

// FindRefusal returns the documented refusal of the given name, and whether
// there is one. Names are codes, such as "WCAC0001".
func FindRefusal(name string) (Refusal, bool) {
	for _, r := range Refusals() {
		if r.Name == name {
			return r, true
		}
	}
	return Refusal{}, false
}

// MustRefusal is [FindRefusal] for a name that is written in the program; it
// panics if there is none.
func MustRefusal(name string) Refusal {
	r, ok := FindRefusal(name)
	if !ok {
		panic("passporttest: no documented refusal is called " + name)
	}
	return r
}
