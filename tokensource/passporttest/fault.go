package passporttest

import (
	"net/http"
	"sync"
)

// A Fault is a way in which the token endpoint fails, or something in front of
// it does. The zero Fault is none: the request is served. See [Server.Fail].
type Fault struct {
	name  string
	uses  int // how many requests it takes; 0 is 1
	serve func(s *Server, w http.ResponseWriter, r *http.Request, ask ask)
}

// String returns the name of the fault, for the name of a subtest.
func (f Fault) String() string {
	if f.serve == nil {
		return "none"
	}
	return f.name
}

// faults are those that lie ahead.
type faults struct {
	mu     sync.Mutex
	script []Fault
	always Fault
}

// Fail has the next token requests meet these faults, one each, in order,
// after those that earlier calls have left.
func (s *Server) Fail(faults ...Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.script = append(s.faults.script, faults...)
}

// FailAlways has every token request meet a fault until Heal, once the script
// of [Server.Fail] is through.
func (s *Server) FailAlways(fault Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.always = fault
}

// Heal ends FailAlways, and drops what is left of the script. Requests that
// have met their fault are not helped.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.script, s.faults.always = nil, Fault{}
}

// take returns the fault of the next request, and whether there is one.
func (f *faults) take() (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.always
	if len(f.script) > 0 {
		next = f.script[0]
		if next.uses > 1 {
			f.script[0].uses--
		} else {
			f.script = f.script[1:]
		}
	}
	return next, next.serve != nil
}
