// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"net/http"
	"sync"
)

// A Fault is a failure of the token endpoint, or of a gateway in front of it.
// The zero Fault is no fault: the request is served. See [Server.Fail].
//
// These functions return the faults, by what the client gets:
//
//   - no token: [Status], [RateLimited], [HTML], [Body], [Redirect307],
//     [Reset], [Hang];
//   - a damaged or malformed answer: [Truncated], [Oversized], [Malformed];
//   - a token of another account: [WrongAccount], [WrongAccountInToken],
//     [WrongAccountInAnswer], [MixUp];
//   - an unusual answer, which must not break a client: [SlowHeaders],
//     [ByteOrderMark], [Gzip], [Mislabelled], [ExpiresIn], [WrongDate],
//     [SameToken].
type Fault struct {
	name  string
	uses  int // how many requests meet the fault; 0 means 1
	serve faultFunc
}

// A faultFunc answers a token request.
type faultFunc func(s *Server, w http.ResponseWriter, r *http.Request, request tokenRequest)

// String returns the name of the fault, for the name of a subtest.
func (f Fault) String() string {
	if f.serve == nil {
		return "none"
	}
	return f.name
}

// faults are the faults that the next token requests meet.
type faults struct {
	mu     sync.Mutex
	script []Fault
	always Fault
}

// Fail makes the next token requests meet these faults, each request one fault,
// in order. Faults of earlier calls come first. A fault of a valid answer, such
// as [Truncated], is used up but not served if the request's credentials are
// wrong. [MixUp] takes two requests.
func (s *Server) Fail(faults ...Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.script = append(s.faults.script, faults...)
}

// FailAlways makes every token request meet fault until Heal is called. The
// faults of [Server.Fail] come first.
func (s *Server) FailAlways(fault Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.always = fault
}

// Heal ends FailAlways, and drops the remaining faults of [Server.Fail]. It
// does not affect requests that have met their fault already. It keeps the
// refusals of [Server.Refuse].
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

// newAnswerFault returns a fault of the answer to a valid token request. The
// function write gets the correct answer.
func newAnswerFault(name string, write func(http.ResponseWriter, grant)) Fault {
	return newValidRequestFault(name, func(s *Server, w http.ResponseWriter, _ *http.Request, request tokenRequest) {
		write(w, s.grant(request, request.account))
	})
}

// newValidRequestFault returns a fault that only a valid token request meets.
// Any other token request is refused as usual.
func newValidRequestFault(name string, serve faultFunc) Fault {
	return Fault{name: name, serve: func(s *Server, w http.ResponseWriter, r *http.Request, request tokenRequest) {
		if !s.refuses(w, request) {
			serve(s, w, r, request)
		}
	}}
}
