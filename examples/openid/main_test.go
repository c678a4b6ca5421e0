// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestRun_ProvesItself(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{OpenID: passporttest.OpenIDConfig{Groups: groups}})
	if err := run(pismo, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if n := pismo.Counts().Assertions[passporttest.FaultSignature]; n == 0 {
		t.Error("the old key was not refused, so the key was not rotated")
	}
}

// A wrong step ends the program with an error.
func TestRun_ReportsFailure(t *testing.T) {
	pismo := passporttest.NewServer(t, passporttest.Config{OpenID: passporttest.OpenIDConfig{Groups: groups}})
	pismo.FailAlways(passporttest.Status(500))
	if err := run(pismo, t.TempDir()); err == nil {
		t.Error("no error")
	}
}
