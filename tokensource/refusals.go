// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"hash/maphash"
	"slices"
	"sync"
)

// refusalThreshold is the number of different endpoints that must refuse a
// token, with none accepting it in between, before the Source stops handing it
// out. The refusals of one endpoint alone say nothing about a token.
const refusalThreshold = 3

// refusals records the endpoints that have refused a token since an endpoint
// last accepted it.
type refusals struct {
	mu        sync.Mutex
	endpoints []uint64 // hashes, at most refusalThreshold
}

var endpointSeed = maphash.MakeSeed()

// add records a refusal. It reports whether this refusal reaches the limit.
func (e *refusals) add(endpoint string) bool {
	hash := maphash.String(endpointSeed, endpoint)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.endpoints) == refusalThreshold || slices.Contains(e.endpoints, hash) {
		return false
	}
	e.endpoints = append(e.endpoints, hash)
	return len(e.endpoints) == refusalThreshold
}

func (e *refusals) presumeRevoked() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.endpoints) == refusalThreshold
}

// ReportRefused records that endpoint has refused the token. An endpoint is a
// host and a path without the ids in it. When three different endpoints have
// refused the token, and none has accepted it in between, its [Source] stops
// handing it out. New callers then wait for another token, or get the error of
// its issuance. ReportRefused does not start an issuance. [Source.Renew] does.
//
// A transport calls ReportRefused. Most programs do not need it.
func (t *Token) ReportRefused(endpoint string) {
	found := t.refusals.Load()
	for found == nil {
		t.refusals.CompareAndSwap(nil, new(refusals))
		found = t.refusals.Load()
	}
	if found.add(endpoint) {
		t.source.removeFromService(t)
	}
}

// ReportAccepted records that an endpoint has accepted the token. This cancels
// all earlier refusals. It costs next to nothing if there were none.
func (t *Token) ReportAccepted() {
	if t.refusals.Load() != nil {
		t.refusals.Store(nil)
	}
}

// presumedRevoked reports whether several endpoints have refused the token.
func (t *Token) presumedRevoked() bool {
	found := t.refusals.Load()
	return found != nil && found.presumeRevoked()
}

// removeFromService takes a condemned token out of service.
func (s *Source) removeFromService(t *Token) {
	if e, ok := s.entries.Load(t.account); ok {
		e.current.CompareAndSwap(t, nil)
	}
}
