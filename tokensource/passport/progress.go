// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"net/http/httptrace"
	"sync"
)

// A phase is a phase of a request.
type phase int

const (
	preparing phase = iota
	dialling
	resolving
	connecting
	handshaking
	waiting
	reading
)

// String returns a text that completes "timed out while".
func (p phase) String() string {
	return [...]string{
		"preparing the request", "waiting for a connection", "resolving the host", "connecting", "in the TLS handshake",
		"waiting for the answer", "reading the answer",
	}[p]
}

// A progress records the phases of a request, for the text of its error. It
// keeps the latest phase: if a request has got a connection, dials may go on in
// the background.
type progress struct {
	mu    sync.Mutex
	phase phase
	peer  string // the last dialled address: the host's, or a proxy's
}

func (p *progress) reach(phase phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = max(p.phase, phase)
}

// reached returns the latest phase and the last dialled address.
func (p *progress) reached() (phase phase, peer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase, p.peer
}

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:  func(string) { p.reach(dialling) },
		DNSStart: func(httptrace.DNSStartInfo) { p.reach(resolving) },
		ConnectStart: func(_, address string) {
			p.reach(connecting)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.peer = address
		},
		TLSHandshakeStart:    func() { p.reach(handshaking) },
		GotConn:              func(httptrace.GotConnInfo) { p.reach(waiting) },
		GotFirstResponseByte: func() { p.reach(reading) },
	}
}
