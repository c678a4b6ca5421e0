// SPDX-License-Identifier: Apache-2.0

package passporttest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestCounts_AreExactUnderConcurrency(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	const accounts, rounds = 8, 10
	var all sync.WaitGroup
	for id := 1; id <= accounts; id++ {
		all.Go(func() {
			account := fmt.Sprint(id)
			for range rounds {
				good := newToken(t, s, account)
				get(t, s, good, "/v1/accounts/"+account)
				get(t, s, good, "/v1/accounts/0")
				get(t, s, good, "/v1/refusals/EUPI0120")
				get(t, s, "bad", "/v1/accounts/"+account)
			}
		})
	}
	all.Wait()
	newToken(t, s, "")
	c := s.Counts()
	const n = accounts * rounds
	check(t, "token requests", c.TokenRequests, n+1)
	check(t, "issued", c.Issued, n+1)
	check(t, "rejected", c.Rejected, 0)
	check(t, "resource requests", c.ResourceRequests, 4*n)
	check(t, "accepted", c.Accepted, n)
	check(t, "scripted", c.Scripted, n)
	check(t, "refused for the account", c.Refused[passporttest.ReasonAccount], n)
	check(t, "refused as unknown", c.Refused[passporttest.ReasonUnknown], n)
	check(t, "refused", c.TotalRefused(), 2*n)
	check(t, "accounts", len(c.Accounts), accounts+1)
	check(t, "account 1", c.Accounts["1"], passporttest.AccountCounts{
		TokenRequests: rounds, Issued: rounds,
		ResourceRequests: 3 * rounds, Accepted: rounds, Refused: rounds, Scripted: rounds,
	})
	check(t, "organization", c.Accounts[""], passporttest.AccountCounts{TokenRequests: 1, Issued: 1})
}

func TestCounts_FailuresCountForTheAccount(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{Accounts: []string{}})
	s.Fail(passporttest.Status(503))
	requestToken(t, s, "1")
	requestToken(t, s, "1")
	c := s.Counts()
	check(t, "faults", c.Faults, 1)
	check(t, "rejected", c.Rejected, 1)
	check(t, "account 1", c.Accounts["1"], passporttest.AccountCounts{TokenRequests: 2})
}

func TestCounts_UnreadableRequestHasNoAccount(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	if _, err := send(t, s.Client(), request(t, s, http.MethodPost, tokenPath, "{}")); err != nil {
		t.Fatal(err)
	}
	check(t, "token requests", s.Counts().TokenRequests, 1)
	check(t, "accounts", len(s.Counts().Accounts), 0)
}

// The replicas of a fleet add a header field to their token requests. Product
// code does not change.
func TestCounts_TellReplicasApart(t *testing.T) {
	forEachServer(t, func() passporttest.Config {
		return passporttest.Config{ReplicaHeader: "X-Replica"}
	}, func(t *testing.T, s *passporttest.Server) {
		for replica, accounts := range map[string][]string{"a": {"1", "1", "2"}, "b": {"1"}, "": {"3"}} {
			issuer := s.Issuer()
			if replica != "" {
				issuer.Header = http.Header{"X-Replica": {replica}}
			}
			for _, id := range accounts {
				if _, err := issuer.Issue(t.Context(), account(t, id)); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := map[passporttest.Recipient]int{{"a", "1"}: 2, {"a", "2"}: 1, {"b", "1"}: 1, {"", "3"}: 1}
		if got := s.Counts().IssuedTo; !maps.Equal(got, want) {
			t.Errorf("the tokens were issued to %v, want %v", got, want)
		}
		encoded, err := json.Marshal(s.Counts())
		var decoded passporttest.Counts
		if err == nil {
			err = json.Unmarshal(encoded, &decoded)
		}
		if err != nil || !strings.Contains(string(encoded), `"a/2":1`) || !maps.Equal(decoded.IssuedTo, want) {
			t.Errorf("as JSON: %s, decoded %v, error %v", encoded, decoded.IssuedTo, err)
		}
		clear(s.Counts().IssuedTo)
		check(t, "recipients after a change to a copy", len(s.Counts().IssuedTo), len(want))
	})
}

func TestCounts_IgnoreReplicasByDefault(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	newToken(t, s, "1")
	check(t, "recipients", len(s.Counts().IssuedTo), 0)
}

func TestCounts_AreACopy(t *testing.T) {
	s := passporttest.NewServer(t, passporttest.Config{})
	newToken(t, s, "1")
	s.Counts().Accounts["1"] = passporttest.AccountCounts{}
	check(t, "issued", s.Counts().Accounts["1"].Issued, 1)
}

func TestAwait_ReturnsWhenReached(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	waiting := make(chan error, 1)
	go func() {
		waiting <- s.Await(t.Context(), func(c passporttest.Counts) bool { return c.Issued == 3 })
	}()
	for range 3 {
		newToken(t, s, "")
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestAwait_EndsWithItsContext(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, "error", s.Await(ctx, func(passporttest.Counts) bool { return false }), context.Canceled)
}

func TestDeliveries_KeepTheLast10000(t *testing.T) {
	s := passporttest.NewInProcess(t, passporttest.Config{})
	value := newToken(t, s, "1")
	for range 20_001 {
		do(t, s, value, http.MethodPost, "/v1/payments", "")
	}
	do(t, s, value, http.MethodPost, "/v1/payments", "last")
	deliveries := s.Deliveries()
	if len(deliveries) < 10_000 || len(deliveries) > 20_000 {
		t.Errorf("%d deliveries are kept, want 10,000 to 20,000", len(deliveries))
	}
	check(t, "length of the last", deliveries[len(deliveries)-1].Length, 4)
}
