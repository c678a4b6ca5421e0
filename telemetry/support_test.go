// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The sentinels. No span, metric or log line may have one of them.
const (
	aliceID = "102681871"
	bobID   = "102681872"

	sentinelQuery = "cpf=sentinel-query"
	sentinelBody  = "sentinel-body"
)

func account(tb testing.TB, id string) tokensource.Account {
	tb.Helper()
	a, err := tokensource.ParseAccountID(id)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func alice(tb testing.TB) tokensource.Account { return account(tb, aliceID) }

func newTelemetry(tb testing.TB, options ...telemetry.Option) *telemetry.Telemetry {
	tb.Helper()
	tel, err := telemetry.New(options...)
	if err != nil {
		tb.Fatal(err)
	}
	return tel
}

func newSource(tb testing.TB, pismo *passporttest.Server, hooks tokensource.Hooks) *tokensource.Source {
	tb.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: pismo.Issuer(), Hooks: hooks})
	if err != nil {
		tb.Fatal(err)
	}
	return source
}

// accountNumber returns the account with the id n.
func accountNumber(tb testing.TB, n int) tokensource.Account {
	tb.Helper()
	return account(tb, strconv.Itoa(n))
}

// heap returns the number of bytes in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// concurrently runs do n times at once.
func concurrently(n int, do func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(do)
	}
	all.Wait()
}
