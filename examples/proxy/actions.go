// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// serveAction runs the action of a button. Actions run one after another.
func (p *page) serveAction(w http.ResponseWriter, r *http.Request) {
	action, ok := p.actions()[r.PathValue("action")]
	if !ok {
		http.Error(w, "there is no such action", http.StatusNotFound)
		return
	}
	select {
	case p.acting <- struct{}{}:
		defer func() { <-p.acting }()
	case <-r.Context().Done():
		return
	}
	action(r.Context())
	w.WriteHeader(http.StatusNoContent)
}

func (p *page) actions() map[string]func(context.Context) {
	return map[string]func(context.Context){
		"revoke-alice":    func(ctx context.Context) { p.revoke(ctx, alice) },
		"revoke-bob":      func(ctx context.Context) { p.revoke(ctx, bob) },
		"revoke-all":      p.revokeAll,
		"slow":            func(context.Context) { p.toggle(stateSlow, passporttest.SlowHeaders(slowness)) },
		"fail":            func(context.Context) { p.toggle(stateFailing, passporttest.Status(http.StatusInternalServerError)) },
		"rotate":          p.rotate,
		"send-thousand":   func(ctx context.Context) { p.sendBurst(ctx, false) },
		"revoke-thousand": func(ctx context.Context) { p.sendBurst(ctx, true) },
	}
}

func (p *page) revoke(ctx context.Context, user string) {
	p.pace(ctx)
	p.fake.Revoke(p.login.accounts[user])
}

func (p *page) revokeAll(ctx context.Context) {
	p.pace(ctx)
	p.fake.RevokeAll()
}

// rotate gives the platform another secret. The proxy reads its secret at each
// issuance, and finds the new one.
func (p *page) rotate(context.Context) {
	p.fake.RotateSecret()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets++
}

// toggle sets the state of the token endpoint. If the endpoint is already in
// that state, toggle ends the state.
func (p *page) toggle(state string, fault passporttest.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fake.Heal()
	if p.state == state {
		p.state = stateHealthy
		return
	}
	p.state = state
	p.fake.FailAlways(fault)
}

// pace waits until the renewal budget has room for another revocation, or until
// ctx is done: see [passporttest.Server.Revoke].
func (p *page) pace(ctx context.Context) {
	p.mu.Lock()
	wait := time.Until(p.revoked.Add(p.fake.RevocationInterval()))
	p.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = time.Now()
}

// show makes the page show a burst.
func (p *page) show(b *burst) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.burst = b
}
