// SPDX-License-Identifier: Apache-2.0

package fleettest_test

import (
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
)

func TestMemory_KeepsTheContract(t *testing.T) {
	fleettest.Run(t, func(*testing.T) fleet.Store { return &fleettest.Memory{} })
}
