// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/examples/internal/platform"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestRead_GetsAccount(t *testing.T) {
	fake := passporttest.NewServer(t, passporttest.Config{})
	if err := read(platform.FromFakeServer(fake), "102681871", "/v1/accounts/102681871"); err != nil {
		t.Fatal(err)
	}
	if n := fake.Counts().Accounts["102681871"].Accepted; n != 1 {
		t.Errorf("the fake server accepted %d requests for the account, want 1", n)
	}
}

// The program reports the fault before it sends a request.
func TestRead_RefusesInvalidAccount(t *testing.T) {
	fake := passporttest.NewServer(t, passporttest.Config{})
	err := read(platform.FromFakeServer(fake), "0102681871", "/v1/accounts/102681871")
	if err == nil || !strings.Contains(err.Error(), "-account") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
	if n := fake.Counts().TokenRequests; n != 0 {
		t.Errorf("%d token requests, want none", n)
	}
}
