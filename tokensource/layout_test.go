// SPDX-License-Identifier: Apache-2.0

package tokensource_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// A look-up reads a slot of the table and one cache line of the entry. An entry
// of 64 bytes or a multiple begins with a cache line. An entry is smaller if
// pointers have 32 bits.
func TestEntry_LookupReadsOneCacheLine(t *testing.T) {
	const line = 64
	size, lookup := tokensource.EntryLayout()
	t.Logf("an entry has %d bytes, a token %d", size, tokensource.TokenSize())
	if strconv.IntSize == 64 && size%line != 0 {
		t.Errorf("an entry has %d bytes, want a multiple of %d", size, line)
	}
	if lookup > line {
		t.Errorf("a look-up reads the first %d bytes of an entry, want at most %d", lookup, line)
	}
}

// The memory of an account includes a JWT of 480 bytes.
func TestSource_MemoryPerAccount(t *testing.T) {
	const accounts, limit = 20_000, 780
	src := newSource(t, granting(opaque(strings.Repeat("x", 480), time.Hour)), func(c *tokensource.Config) { c.MaxAccounts = accounts })
	before := heapInUse()
	for i := range accounts {
		token(t, src, acct(t, i+1))
	}
	each := (heapInUse() - before) / accounts
	runtime.KeepAlive(src)
	if each > limit {
		t.Errorf("an account needs %d bytes, want at most %d", each, limit)
	}
	t.Logf("%d bytes", each)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
