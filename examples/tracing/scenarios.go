// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// A scenario is a sequence of requests with its expected traces.
type scenario struct {
	title string
	run   func(context.Context, *program) error
	want  string
}

// stampedeSize is the number of requests of a stampede.
const stampedeSize = 5

var scenarios = []scenario{
	{"A stampede: five payments at once, without a token. One payment starts an issuance, and four wait for it.", stampede,
		`trace 1: POST
├─ pismo.token.issue reason=cold attempts=1
│  └─ HTTP POST → 201
└─ HTTP POST → 201
trace 2: POST
├─ pismo.token.acquire origin=joined ⇢ pismo.token.issue of trace 1
└─ HTTP POST → 201
trace 3: POST
├─ pismo.token.acquire origin=joined ⇢ pismo.token.issue of trace 1
└─ HTTP POST → 201
trace 4: POST
├─ pismo.token.acquire origin=joined ⇢ pismo.token.issue of trace 1
└─ HTTP POST → 201
trace 5: POST
├─ pismo.token.acquire origin=joined ⇢ pismo.token.issue of trace 1
└─ HTTP POST → 201
`},
	{"A revocation: the platform refuses the token of a payment. The token is renewed, and the payment is replayed.", revocation,
		`trace 1: POST
├─ HTTP POST → 401
├─ pismo.token.renew outcome=replayed
│  └─ pismo.token.issue reason=refused attempts=1
│     └─ HTTP POST → 201
└─ HTTP POST → 201 resend_count=1
`},
}

func stampede(ctx context.Context, p *program) error {
	var all sync.WaitGroup
	errs := make(chan error, stampedeSize)
	for range stampedeSize {
		all.Go(func() { errs <- p.pay(ctx) })
	}
	all.Wait()
	for range stampedeSize {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

func revocation(ctx context.Context, p *program) error {
	p.fake.RevokeAll()
	return p.pay(ctx)
}

// pay sends a payment through the proxy. It fails if the payment was refused.
func (p *program) pay(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.proxy.URL+"/v1/payments?"+query, strings.NewReader(`{"amount":100}`))
	if err != nil {
		return err
	}
	resp, err := p.proxy.Client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("the payment was answered with the status %d", resp.StatusCode)
	}
	return nil
}
