// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// A socketStore is a [fleet.Store] of another process, behind a socket. It has
// the place of a *redisstore.Store, so that the example needs no Redis. A real
// fleet has its replicas on several machines, and needs a real store.
type socketStore struct{ client *http.Client }

func newSocketStore(network, address string) *socketStore {
	var dialer net.Dialer
	return &socketStore{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: maxAccounts,
	}}}
}

// A storeCall has the arguments of any method of a Store.
type storeCall struct {
	Name        string
	Ask         fleet.Ask
	Publication fleet.Publication
	Burst       int
	Refill      time.Duration
}

// A storeResult has the results of any method of a Store.
type storeResult struct {
	Claim  fleet.Claim
	Stored bool
	Wait   time.Duration
}

// Claim implements [fleet.Store].
func (s *socketStore) Claim(ctx context.Context, name string, ask fleet.Ask) (fleet.Claim, error) {
	result, err := s.call(ctx, "claim", storeCall{Name: name, Ask: ask})
	return result.Claim, err
}

// Publish implements [fleet.Store].
func (s *socketStore) Publish(ctx context.Context, name string, p fleet.Publication) (bool, error) {
	result, err := s.call(ctx, "publish", storeCall{Name: name, Publication: p})
	return result.Stored, err
}

// Take implements [fleet.Store].
func (s *socketStore) Take(ctx context.Context, name string, burst int, refill time.Duration) (time.Duration, error) {
	result, err := s.call(ctx, "take", storeCall{Name: name, Burst: burst, Refill: refill})
	return result.Wait, err
}

func (s *socketStore) call(ctx context.Context, method string, call storeCall) (result storeResult, err error) {
	body, err := json.Marshal(call)
	if err != nil {
		return storeResult{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://store/"+method, bytes.NewReader(body))
	if err != nil {
		return storeResult{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return storeResult{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return storeResult{}, fmt.Errorf("the store answers %s", resp.Status)
	}
	err = json.NewDecoder(resp.Body).Decode(&result)
	return result, err
}

// newStoreHandler serves a Store to socketStores.
func newStoreHandler(store fleet.Store) http.Handler {
	mux := http.NewServeMux()
	handle := func(method string, run func(context.Context, storeCall) (storeResult, error)) {
		mux.HandleFunc("POST /"+method, func(w http.ResponseWriter, r *http.Request) {
			var call storeCall
			if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
				http.Error(w, "the call is not JSON", http.StatusBadRequest)
				return
			}
			result, err := run(r.Context(), call)
			if err != nil {
				http.Error(w, "the store failed", http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(result) // The caller may have left.
		})
	}
	handle("claim", func(ctx context.Context, c storeCall) (r storeResult, err error) {
		r.Claim, err = store.Claim(ctx, c.Name, c.Ask)
		return r, err
	})
	handle("publish", func(ctx context.Context, c storeCall) (r storeResult, err error) {
		r.Stored, err = store.Publish(ctx, c.Name, c.Publication)
		return r, err
	})
	handle("take", func(ctx context.Context, c storeCall) (r storeResult, err error) {
		r.Wait, err = store.Take(ctx, c.Name, c.Burst, c.Refill)
		return r, err
	})
	return mux
}
