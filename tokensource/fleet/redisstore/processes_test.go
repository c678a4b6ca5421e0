// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

// The variable tells the test binary to be a process of a fleet: the address of
// the server, and the URL of the endpoint.
const processVariable = "PISMO_TEST_FLEET_PROCESS"

func TestMain(m *testing.M) {
	if task := os.Getenv(processVariable); task != "" {
		if err := runProcess(strings.Fields(task)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	logging.Disable() // Many tests break connections.
	os.Exit(m.Run())
}

// A remoteEndpoint asks the endpoint of the test for tokens.
type remoteEndpoint struct{ url string }

func (e remoteEndpoint) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/"+account.ID(), http.NoBody)
	if err != nil {
		return tokensource.Grant{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return tokensource.Grant{}, err
	}
	defer resp.Body.Close()
	token, err := io.ReadAll(resp.Body)
	return tokensource.Grant{Token: tokensource.NewSecret(string(token)), ExpiresIn: 10 * time.Minute}, err
}

// runProcess gets the tokens of all accounts, and prints how often it could not
// use the store.
func runProcess(task []string) error {
	store, err := redisstore.New(redisstore.Config{Addr: []string{task[0]}})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	issuer, err := fleet.New(fleet.Config{Issuer: remoteEndpoint{task[1]}, Store: store, Key: func(context.Context) (tokensource.Secret, error) {
		return tokensource.NewSecret("a secret of more than 16 bytes"), nil
	}})
	if err != nil {
		return err
	}
	src, err := tokensource.New(tokensource.Config{Issuer: issuer})
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	faults := make(chan error, fleetAccounts)
	for caller := range fleetCallers {
		all.Go(func() {
			for n := caller; n < fleetAccounts; n += fleetCallers {
				account, err := tokensource.ParseAccountID(fmt.Sprint(n + 1))
				if err == nil {
					_, err = src.Token(context.Background(), account)
				}
				if err != nil {
					faults <- err
				}
			}
		})
	}
	all.Wait()
	close(faults)
	for err := range faults {
		return err
	}
	status := issuer.Status()
	return json.NewEncoder(os.Stdout).Encode(status.Failed + status.Skipped)
}

// Five processes need the tokens of all accounts at once.
func TestFleet_ProcessesIssueOnce(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	const processes = 5
	e := &endpoint{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, err := tokensource.ParseAccountID(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.Error(w, "no account", http.StatusBadRequest)
			return
		}
		grant, _ := e.Issue(r.Context(), account) // It never fails.
		_, _ = io.WriteString(w, grant.Token.Reveal())
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	without := int64(0)
	for range processes {
		all.Go(func() {
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.Env = append(os.Environ(), processVariable+"="+s.addr+" http://"+listener.Addr().String())
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			n := int64(0)
			if err == nil {
				err = json.Unmarshal(out, &n)
			}
			if err != nil {
				t.Errorf("a process failed: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			without += n
		})
	}
	all.Wait()
	calls := e.calls.Load()
	t.Logf("%d processes and %d accounts: %d issuances; the store could not be used %d times", processes, fleetAccounts, calls, without)
	if calls < fleetAccounts || calls > fleetAccounts+without {
		t.Errorf("%d issuances, want %d to %d", calls, fleetAccounts, fleetAccounts+without)
	}
}
