// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"os"
	"testing"

	"github.com/pismoauth/pismoauth/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }
