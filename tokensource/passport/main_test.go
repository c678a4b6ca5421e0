// SPDX-License-Identifier: Apache-2.0

package passport_test

import (
	"os"
	"testing"

	"github.com/pismoauth/pismoauth/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }
