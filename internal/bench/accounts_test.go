// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"hash/maphash"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A jwt is a token as the caches of the peers keep it.
type jwt struct {
	value  string
	expiry time.Time
}

func newJWT(i int) *jwt { return &jwt{tokenValue(uint64(i)), time.Now().Add(lifetime)} }

// A tokenCache has the token of each of many accounts. Its function takes the
// id as text, as it comes with a request, and returns the token if it is fresh.
type tokenCache struct {
	name string
	fill func(tb testing.TB, ids []string) func(id string) bool
}

var tokenCaches = []tokenCache{
	{"side=pismoauth", fillPismoauth},
	{"side=expirable-lru", fillExpirable},
	{"side=otter", fillOtter},
	{"side=xsync", fillXsync},
}

func fillPismoauth(tb testing.TB, ids []string) func(string) bool {
	tb.Helper()
	src, ctx := newSource(tb, tokensource.Config{MaxAccounts: len(ids)}), tb.Context()
	ask := func(id string) bool {
		account, err := tokensource.ParseAccountID(id)
		if err != nil {
			return false
		}
		tok, err := src.Token(ctx, account)
		return err == nil && tok != nil
	}
	for _, id := range ids {
		if !ask(id) {
			tb.Fatal("no token was issued")
		}
	}
	return ask
}

// The cache of golang-lru, which drops entries at the end of their life.
func fillExpirable(_ testing.TB, ids []string) func(string) bool {
	cache := expirable.NewLRU[string, *jwt](len(ids), nil, lifetime)
	for i, id := range ids {
		cache.Add(id, newJWT(i))
	}
	return func(id string) bool {
		_, ok := cache.Get(id)
		return ok
	}
}

func fillOtter(_ testing.TB, ids []string) func(string) bool {
	cache := otter.Must(&otter.Options[string, *jwt]{
		MaximumSize:      len(ids),
		ExpiryCalculator: otter.ExpiryWriting[string, *jwt](lifetime),
	})
	for i, id := range ids {
		cache.Set(id, newJWT(i))
	}
	return func(id string) bool {
		_, ok := cache.GetIfPresent(id)
		return ok
	}
}

// A concurrent map without a bound, which does not check the age of a token.
func fillXsync(_ testing.TB, ids []string) func(string) bool {
	cache := xsync.NewMap[int64, *jwt]()
	for i, id := range ids {
		n, _ := strconv.ParseInt(id, 10, 64) // It never fails.
		cache.Store(n, newJWT(i))
	}
	return func(id string) bool {
		n, err := strconv.ParseInt(id, 10, 64)
		_, ok := cache.Load(n)
		return ok && err == nil
	}
}

func accountIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.FormatInt(accountID(i), 10)
	}
	return ids
}

// The id of a random account is parsed, and its token is looked up. /accounts=
// is the number of accounts.
func BenchmarkAccounts(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		ids, drawn := accountIDs(n), drawIndices(n)
		for _, side := range tokenCaches {
			b.Run("accounts="+strconv.Itoa(n)+"/"+side.name, func(b *testing.B) {
				ask := side.fill(b, ids)
				found := new(bool)
				draw := func(i int) (*bool, error) {
					if ask(ids[drawn[i&(len(drawn)-1)]]) {
						return found, nil
					}
					return nil, nil //nolint:nilnil // runSerially reports it.
				}
				b.Run("serial", func(b *testing.B) { runSerially(b, draw) })
				b.Run("parallel", func(b *testing.B) { runInParallel(b, draw) })
			})
		}
	}
}

// One account is added after the other until there are 100,000. For pismoauth
// that includes the issuance, by an issuer without a network.
func BenchmarkAccountsFill(b *testing.B) {
	ids := accountIDs(mostAccounts)
	for _, side := range tokenCaches {
		b.Run(side.name, func(b *testing.B) {
			for b.Loop() {
				runtime.KeepAlive(side.fill(b, ids))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/mostAccounts, "ns/account")
		})
	}
}

// What a cache needs for each of 100,000 accounts, with the token, and how long
// one collection of the garbage takes.
func BenchmarkAccountsMemory(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		ids := accountIDs(n)
		for _, side := range tokenCaches {
			b.Run("accounts="+strconv.Itoa(n)+"/"+side.name, func(b *testing.B) {
				var each, collect float64
				for b.Loop() {
					before := liveHeap()
					cache := side.fill(b, ids)
					each = max(each, float64(liveHeap()-before)/float64(n))
					start := time.Now()
					runtime.GC()
					collect = float64(time.Since(start).Microseconds()) / 1000
					runtime.KeepAlive(cache)
				}
				b.ReportMetric(each, "B/account")
				b.ReportMetric(collect, "ms/GC")
			})
		}
	}
}

var accountSeed = maphash.MakeSeed()

func hashAccount(key tokensource.Account) uint64 { return maphash.Comparable(accountSeed, key) }

// newAccounts returns n accounts.
func newAccounts(tb testing.TB, n int) []tokensource.Account {
	tb.Helper()
	all := make([]tokensource.Account, n)
	for i := range all {
		all[i] = account(tb, i)
	}
	return all
}
