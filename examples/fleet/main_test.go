// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/internal/leaktest"
)

// TestMain makes the test binary a replica too, as main does.
func TestMain(m *testing.M) {
	if isReplica() {
		os.Exit(replicaMain())
	}
	os.Exit(leaktest.Main(m))
}

func TestOptions_NameTheFlag(t *testing.T) {
	for flag, o := range map[string]options{
		"-replicas": {replicas: 1, accounts: 10},
		"-accounts": {replicas: 3, accounts: 0},
	} {
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%+v: got error %v, want the flag %s", o, err, flag)
		}
	}
	if err := (options{replicas: 3, accounts: 10}).validate(); err != nil {
		t.Error(err)
	}
}
