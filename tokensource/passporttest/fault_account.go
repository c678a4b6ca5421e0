// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"context"
	"net/http"
	"sync"
)

// The faults of this file name or serve another account than the one that the
// client asked for.

// WrongAccount answers with a token for another account; "" is the
// organization. The answer names that account, and so does the token if
// Config.TokenFormat has a claim for it. The token is valid: a client that uses
// it acts for that account.
func WrongAccount(id string) Fault {
	return newWrongTokenFault("wrong account", id, func(*grant, tokenRequest) {})
}

// WrongAccountInToken is WrongAccount with an answer that names the account
// that the client asked for.
func WrongAccountInToken(id string) Fault {
	return newWrongTokenFault("wrong account in token", id, func(g *grant, request tokenRequest) {
		g.setAccount(request.account)
	})
}

// WrongAccountInAnswer answers with the correct token, in an answer that names
// another account.
func WrongAccountInAnswer(id string) Fault {
	return newAnswerFault("wrong account in answer", func(w http.ResponseWriter, g grant) {
		g.setAccount(id)
		writeJSON(w, http.StatusCreated, g)
	})
}

// newWrongTokenFault returns a fault whose answer has a token for another
// account. The function change may change the answer.
func newWrongTokenFault(name, id string, change func(*grant, tokenRequest)) Fault {
	return newValidRequestFault(name, func(s *Server, w http.ResponseWriter, _ *http.Request, request tokenRequest) {
		g := s.grant(request, id)
		change(&g, request)
		writeJSON(w, http.StatusCreated, g)
	})
}

// MixUp takes two requests, and answers each with the answer to the other. The
// first request waits for the second.
func MixUp() Fault {
	f := newValidRequestFault("mix-up", func(s *Server, w http.ResponseWriter, r *http.Request, request tokenRequest) {
		writeJSON(w, http.StatusCreated, s.exchanger.exchange(r.Context(), s.grant(request, request.account)))
	})
	f.uses = 2
	return f
}

// An exchanger exchanges the answers of two requests.
type exchanger struct {
	mu      sync.Mutex
	waiting *waitingAnswer // the answer of the first request; nil if none waits
}

// A waitingAnswer belongs to a request that waits for a second request.
type waitingAnswer struct {
	own   grant
	other chan grant // receives the answer to the second request
}

// exchange returns the answer to the other request. It aborts the handler if
// ctx is done before there is another request.
func (e *exchanger) exchange(ctx context.Context, own grant) grant {
	e.mu.Lock()
	if first := e.waiting; first != nil {
		e.waiting = nil
		e.mu.Unlock()
		first.other <- own
		return first.own
	}
	answer := &waitingAnswer{own, make(chan grant, 1)}
	e.waiting = answer
	e.mu.Unlock()
	select {
	case other := <-answer.other:
		return other
	case <-ctx.Done():
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.waiting == answer {
			e.waiting = nil
		}
		abort()
		return grant{}
	}
}
