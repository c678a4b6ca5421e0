// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/transport"
)

// replicaVar in the environment makes the program a replica.
const replicaVar = "PISMO_EXAMPLE_FLEET_REPLICA"

// replicaHeader names the replica in its token requests. Pismo does not need
// it: the fake counts with it.
const replicaHeader = "X-Replica"

// requestTimeout bounds a request of a replica.
const requestTimeout = 20 * time.Second

// A both has a value for the requests with the store, and one for those
// without.
type both[T any] struct{ With, Without T }

// A replicaConfig is the first line of a replica's input.
type replicaConfig struct {
	Name      string
	Platforms both[platformConfig]
	// Network and Address are where the store is.
	Network, Address string
	Redis            bool
}

// A platformConfig is the access to a fake of Pismo.
type platformConfig struct{ URL, Key, Secret string }

// A roundResult is what a replica says after a round of requests.
type roundResult struct {
	Failed both[int] // requests whose answer is not 200
	Error  string    // of one of them
	// StoreMissed counts the operations of the store that failed, or that were
	// left out because others had failed.
	StoreMissed uint64
	// StoreError is what the store last failed with, if it has not succeeded
	// since. It is empty if the store was only too slow.
	StoreError string
}

// A replica is a program with two clients. A real program has one of them.
type replica struct {
	clients both[*http.Client]
	urls    both[string]
	shared  *fleet.Issuer
}

func newReplica(c replicaConfig) (*replica, error) {
	r := &replica{urls: both[string]{c.Platforms.With.URL, c.Platforms.Without.URL}}
	var store fleet.Store = newSocketStore(c.Network, c.Address)
	if c.Redis {
		var err error
		if store, err = redisstore.New(redisstore.Config{Addr: []string{c.Address}}); err != nil {
			return nil, err
		}
	}
	issuer := newIssuer(c.Name, c.Platforms.With)
	var err error
	r.shared, err = fleet.New(fleet.Config{Issuer: issuer, Store: store, Key: issuer.Credentials.Secret})
	if err != nil {
		return nil, err
	}
	if r.clients.With, err = newClient(r.shared, c.Platforms.With); err != nil {
		return nil, err
	}
	r.clients.Without, err = newClient(newIssuer(c.Name, c.Platforms.Without), c.Platforms.Without)
	return r, err
}

func newIssuer(name string, p platformConfig) *passport.S2S {
	return &passport.S2S{
		BaseURL:     p.URL,
		Credentials: passport.StaticCredentials(p.Key, p.Secret),
		Header:      http.Header{replicaHeader: {name}},
	}
}

func newClient(issuer tokensource.Issuer, p platformConfig) (*http.Client, error) {
	source, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	authenticated, err := transport.New(transport.Config{Source: source, Hosts: []string{u.Host}})
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: authenticated, Timeout: requestTimeout}, nil
}

// isReplica reports whether the program was started as a replica.
func isReplica() bool { return os.Getenv(replicaVar) != "" }

// replicaMain runs a replica until its input ends, which it does when the
// parent ends in any way. It returns the exit code.
func replicaMain() int {
	signal.Ignore(os.Interrupt) // Ctrl-C reaches every process of a terminal. The parent ends the replicas.
	if err := serveRounds(os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "replica:", err)
		return 1
	}
	return 0
}

// serveRounds reads accounts, sends requests for each of them at once, and
// writes the result.
func serveRounds(in io.Reader, out io.Writer) error {
	commands, results := json.NewDecoder(in), json.NewEncoder(out)
	var config replicaConfig
	if err := commands.Decode(&config); err != nil {
		return err
	}
	r, err := newReplica(config)
	if err != nil {
		return err
	}
	for {
		var accounts []string
		if err := commands.Decode(&accounts); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := results.Encode(r.round(accounts)); err != nil {
			return err
		}
	}
}

// round sends two requests for each account.
func (r *replica) round(accounts []string) (result roundResult) {
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	before := r.shared.Status()
	send := func(client *http.Client, url, account string, failed *int) {
		all.Go(func() {
			err := read(client, url, account)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			*failed++
			result.Error = err.Error()
		})
	}
	for _, account := range accounts {
		send(r.clients.With, r.urls.With, account, &result.Failed.With)
		send(r.clients.Without, r.urls.Without, account, &result.Failed.Without)
	}
	all.Wait()
	after := r.shared.Status()
	result.StoreMissed = after.Failed + after.Skipped - before.Failed - before.Skipped
	if err := after.LastError; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		result.StoreError = err.Error()
	}
	return result
}

// read reads an account, as a program that uses Pismo does.
func read(client *http.Client, url, id string) error {
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		return err
	}
	ctx := tokensource.ContextWithAccount(context.Background(), account)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/accounts/"+id, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a request is answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
