package bench

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/oauth2"

	"github.com/pismoauth/pismoauth/tokensource"
)

// How many accounts there are in benchmarks with many.
const (
	manyAccounts = 10_000  // what a Source keeps by default
	mostAccounts = 100_000 // with MaxAccounts raised
)

// One account, whose token is fresh: the path of nearly every request.
func BenchmarkAccountSource(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) {
		tokens, ctx := newSource(b, tokensource.Config{}).ForAccount(account(b, 0)), b.Context()
		serially(b, func(int) (*tokensource.Token, error) { return tokens.Token(ctx) })
	})
	b.Run("side=oauth2", func(b *testing.B) {
		tokens := reusing()
		serially(b, func(int) (*oauth2.Token, error) { return tokens.Token() })
	})
}

func BenchmarkAccountSourceParallel(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) {
		tokens, ctx := newSource(b, tokensource.Config{}).ForAccount(account(b, 0)), b.Context()
		inParallel(b, func(int) (*tokensource.Token, error) { return tokens.Token(ctx) })
	})
	b.Run("side=oauth2", func(b *testing.B) {
		tokens := reusing()
		inParallel(b, func(int) (*oauth2.Token, error) { return tokens.Token() })
	})
}

// One of many accounts at random.
func BenchmarkSource(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) { serially(b, drawFromSource(b, manyAccounts)) })
	b.Run("side=map", func(b *testing.B) { serially(b, drawFromMap(b, manyAccounts)) })
}

func BenchmarkSourceParallel(b *testing.B) {
	b.Run("side=pismoauth", func(b *testing.B) { inParallel(b, drawFromSource(b, manyAccounts)) })
	b.Run("side=map", func(b *testing.B) { inParallel(b, drawFromMap(b, manyAccounts)) })
}

// What a look-up among very many costs, next to none: cache misses, mostly.
func BenchmarkLookup(b *testing.B) {
	b.Run("side=Source.Token", func(b *testing.B) { serially(b, drawFromSource(b, mostAccounts)) })
	b.Run("side=For", func(b *testing.B) {
		tokens, ctx := newSource(b, tokensource.Config{}).ForAccount(account(b, 0)), b.Context()
		serially(b, func(int) (*tokensource.Token, error) { return tokens.Token(ctx) })
	})
}

// drawFromSource returns a function whose i-th call asks for the token of the
// i-th account drawn.
func drawFromSource(b *testing.B, n int) func(i int) (*tokensource.Token, error) {
	b.Helper()
	src := newSource(b, tokensource.Config{MaxAccounts: n})
	accounts, drawn, ctx := fill(b, src, n), draws(n), b.Context()
	return func(i int) (*tokensource.Token, error) {
		return src.Token(ctx, accounts[drawn[i&(len(drawn)-1)]])
	}
}

// drawFromMap is drawFromSource for the other side.
func drawFromMap(b *testing.B, n int) func(i int) (*oauth2.Token, error) {
	b.Helper()
	sources := sourceMap{sources: map[int64]oauth2.TokenSource{}}
	accounts, drawn := make([]int64, n), draws(n)
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

// serially measures calls of ask, one after the other. The first is not
// measured: it issues. Calling through a function value costs all sides the
// same two nanoseconds, which makes a ratio look nearer to 1 than it is.
func serially[T any](b *testing.B, ask func(i int) (*T, error)) {
	b.Helper()
	if _, err := ask(0); err != nil {
		b.Fatal(err)
	}
	runtime.GC() // What the setup left is not to be collected while we measure.
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if tok, err := ask(i); tok == nil {
			b.Fatal(err)
		}
		i++
	}
}

// inParallel measures calls of ask by as many goroutines as GOMAXPROCS says.
func inParallel[T any](b *testing.B, ask func(i int) (*T, error)) {
	b.Helper()
	if _, err := ask(0); err != nil {
		b.Fatal(err)
	}
	runtime.GC() // As above.
	b.ReportAllocs()
	const apart = 7919 // Goroutines do not draw in step.
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
