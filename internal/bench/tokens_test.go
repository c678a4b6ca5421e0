// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/oauth2"

	"github.com/pismoauth/pismoauth/tokensource"
)

// The numbers of accounts.
const (
	manyAccounts = 10_000  // the default limit of a Source
	mostAccounts = 100_000 // with a higher MaxAccounts
)

// One account with a fresh token: the path of nearly every request.
func BenchmarkAccountSource(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) {
		tokens, ctx := newSource(b, tokensource.Config{}).ForAccount(account(b, 0)), b.Context()
		runSerially(b, func(int) (*tokensource.Token, error) { return tokens.Token(ctx) })
	})
	b.Run("side=oauth2", func(b *testing.B) {
		tokens := newReuseTokenSource()
		runSerially(b, func(int) (*oauth2.Token, error) { return tokens.Token() })
	})
}

func BenchmarkAccountSourceParallel(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) {
		tokens, ctx := newSource(b, tokensource.Config{}).ForAccount(account(b, 0)), b.Context()
		runInParallel(b, func(int) (*tokensource.Token, error) { return tokens.Token(ctx) })
	})
	b.Run("side=oauth2", func(b *testing.B) {
		tokens := newReuseTokenSource()
		runInParallel(b, func(int) (*oauth2.Token, error) { return tokens.Token() })
	})
}

// The same account by Source.Token, which looks it up.
func BenchmarkSourceOfOne(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) { runSerially(b, newSourceDraw(b, 1)) })
	b.Run("side=oauth2", func(b *testing.B) {
		tokens := newReuseTokenSource()
		runSerially(b, func(int) (*oauth2.Token, error) { return tokens.Token() })
	})
}

// One of many accounts at random.
func BenchmarkSource(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) { runSerially(b, newSourceDraw(b, manyAccounts)) })
	b.Run("side=map", func(b *testing.B) { runSerially(b, newMapDraw(b, manyAccounts)) })
}

func BenchmarkSourceParallel(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) { runInParallel(b, newSourceDraw(b, manyAccounts)) })
	b.Run("side=map", func(b *testing.B) { runInParallel(b, newMapDraw(b, manyAccounts)) })
}

// A look-up among very many accounts, next to an AccountSource without a
// look-up. The difference is mostly cache misses.
func BenchmarkLookup(b *testing.B) {
	b.Run("side=Source.Token", func(b *testing.B) { runSerially(b, newSourceDraw(b, mostAccounts)) })
	b.Run("side=For", func(b *testing.B) {
		tokens, ctx := newSource(b, tokensource.Config{}).ForAccount(account(b, 0)), b.Context()
		runSerially(b, func(int) (*tokensource.Token, error) { return tokens.Token(ctx) })
	})
}

// newSourceDraw returns a function whose i-th call gets the token of the i-th
// drawn account.
func newSourceDraw(b *testing.B, n int) func(i int) (*tokensource.Token, error) {
	b.Helper()
	src := newSource(b, tokensource.Config{MaxAccounts: n})
	accounts, drawn, ctx := fillSource(b, src, n), drawIndices(n), b.Context()
	return func(i int) (*tokensource.Token, error) {
		return src.Token(ctx, accounts[drawn[i&(len(drawn)-1)]])
	}
}

// newMapDraw is newSourceDraw for a sourceMap.
func newMapDraw(b *testing.B, n int) func(i int) (*oauth2.Token, error) {
	b.Helper()
	sources := sourceMap{sources: map[int64]oauth2.TokenSource{}}
	accounts, drawn := make([]int64, n), drawIndices(n)
	for i := range accounts {
		accounts[i] = accountID(i)
		if _, err := sources.Token(accounts[i]); err != nil {
			b.Fatal(err)
		}
	}
	return func(i int) (*oauth2.Token, error) {
		return sources.Token(accounts[drawn[i&(len(drawn)-1)]])
	}
}

// runSerially measures consecutive calls of ask. It does not measure the first
// call, which issues. The call of a function value costs all sides the same two
// nanoseconds, which moves a ratio towards 1.
func runSerially[T any](b *testing.B, ask func(i int) (*T, error)) {
	b.Helper()
	if _, err := ask(0); err != nil {
		b.Fatal(err)
	}
	runtime.GC() // Garbage of the setup must not be collected during the benchmark.
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if tok, err := ask(i); tok == nil {
			b.Fatal(err)
		}
		i++
	}
}

// runInParallel measures calls of ask by GOMAXPROCS goroutines.
func runInParallel[T any](b *testing.B, ask func(i int) (*T, error)) {
	b.Helper()
	if _, err := ask(0); err != nil {
		b.Fatal(err)
	}
	runtime.GC() // As in runSerially.
	b.ReportAllocs()
	const apart = 7919 // Goroutines draw different accounts.
	var goroutines atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(goroutines.Add(1)) * apart; pb.Next(); i++ {
			if tok, err := ask(i); tok == nil {
				b.Error(err)
				return
			}
		}
	})
}
