// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// Five processes use 200 accounts, ten at once. Each account costs one
// issuance, and none after all processes were killed.
func TestProcesses_IssueEachTokenOnce(t *testing.T) {
	t.Run("memory", func(t *testing.T) { issueOnce(t, "") })
	t.Run("Redis", func(t *testing.T) {
		if address := startRedis(t); address != "" {
			issueOnce(t, address)
		}
	})
}

func issueOnce(t *testing.T, redis string) {
	t.Helper()
	const processes, accounts, atOnce = 5, 200, 10
	s, err := newStage(t.Context(), options{replicas: processes, redis: redis})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	useAll := func() {
		for first := 0; first < accounts; first += atOnce {
			if err := s.round(accountIDs(accounts, 0)[first : first+atOnce]); err != nil {
				t.Fatal(err)
			}
		}
	}
	useAll()
	for n := range processes {
		if err := s.restart(n); err != nil {
			t.Fatal(err)
		}
	}
	useAll()
	if s.storeError != "" || s.failed != (both[int]{}) {
		t.Errorf("%+v requests failed, the error of the store is %q", s.failed, s.storeError)
	}
	if s.storeMissed > 0 {
		t.Log("LEFT OUT: the issuances of five processes, since this machine is too busy.")
		return
	}
	counts := s.platforms.With.Counts()
	for to, tokens := range counts.IssuedTo {
		if tokens != 1 || !strings.HasPrefix(to.Replica, "replica ") {
			t.Errorf("%q got %d tokens of one account, want 1", to.Replica, tokens)
		}
	}
	if counts.Issued != accounts {
		t.Errorf("%d issuances, want %d", counts.Issued, accounts)
	}
	if n := s.platforms.Without.Counts().Issued; n != 2*processes*accounts {
		t.Errorf("without a store: %d issuances, want %d", n, 2*processes*accounts)
	}
}
