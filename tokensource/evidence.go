package tokensource

import (
	"hash/maphash"
	"slices"
	"sync"
)

// condemningEndpoints is how many different endpoints have to refuse a token,
// with none accepting it in between, before it is no longer handed out. One
// endpoint alone says nothing about a token, however often it refuses.
const condemningEndpoints = 3

// evidence collects which endpoints have refused a token since one accepted it.
type evidence struct {
	mu        sync.Mutex
	endpoints []uint64 // hashes of different ones, at most condemningEndpoints
}

var endpointSeed = maphash.MakeSeed()

// add notes a refusal, and reports whether it is the one that condemns.
func (e *evidence) add(endpoint string) bool {
	hash := maphash.String(endpointSeed, endpoint)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.endpoints) == condemningEndpoints || slices.Contains(e.endpoints, hash) {
		return false
	}
	e.endpoints = append(e.endpoints, hash)
	return len(e.endpoints) == condemningEndpoints
}

func (e *evidence) condemns() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.endpoints) == condemningEndpoints
}

// ReportRefused notes that endpoint has answered that it does not accept the
// token. An endpoint is a host and a path without the ids in it. When three
// different endpoints have refused a token and none has accepted it in between,
// its [Source] stops handing it out: callers wait for another token, or get the
// error why there is none. It issues nothing; [Source.Renew] does.
//
// A transport reports what it sees. Most code has no use for this.
func (t *Token) ReportRefused(endpoint string) {
	found := t.evidence.Load()
	for found == nil {
		t.evidence.CompareAndSwap(nil, new(evidence))
		found = t.evidence.Load()
	}
	if found.add(endpoint) {
		t.source.withdraw(t)
	}
}

// ReportAccepted notes that an endpoint has accepted the token, which refutes
// all refusals before. It costs next to nothing where there were none.
func (t *Token) ReportAccepted() {
	if t.evidence.Load() != nil {
		t.evidence.Store(nil)
	}
}

// condemned reports whether several endpoints have refused the token.
func (t *Token) condemned() bool {
	found := t.evidence.Load()
	return found != nil && found.condemns()
}

// withdraw takes a condemned token out of service.
func (s *Source) withdraw(t *Token) {
	if e, ok := s.entries.Load(t.account); ok {
		e.current.CompareAndSwap(t, nil)
	}
}
