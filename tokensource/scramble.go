// SPDX-License-Identifier: Apache-2.0

package tokensource

import (
	"hash/maphash"
	"math/rand/v2"
)

// The factors of scramble. The first is a random number of this process. The
// other one mixes all bits, whatever the random number. Source: the hash
// function rrmxmx. They are odd, so that a multiplication modulo 2^64 can be
// reversed.
var (
	factors  = [...]uint64{rand.Uint64() | 1, 0xd6e8feb86659fd93, 0xd6e8feb86659fd93} //nolint:gosec // The runtime seeds it at random. It is no key.
	inverses = [...]uint64{inverse(factors[0]), inverse(factors[1]), inverse(factors[2])}

	externalSeed = maphash.MakeSeed()
)

// scramble returns a number that looks random and stands for n in this process.
// Different numbers have different results, and 0 has the result 0. The result
// is also a good hash of n.
//
// It keeps ids out of printed values. It is not encryption: a person who can
// read the memory of the process can read the ids.
func scramble(n uint64) uint64 {
	for _, factor := range factors {
		n *= factor
		n ^= n >> 32
	}
	return n
}

// unscramble returns the number n for which scramble(n) is hidden.
func unscramble(hidden uint64) uint64 {
	for i := range inverses {
		hidden ^= hidden >> 32 // It reverses itself.
		hidden *= inverses[len(inverses)-1-i]
	}
	return hidden
}

// inverse returns the number that gives 1 when multiplied by odd modulo 2^64.
// It is Newton's method: each step doubles the number of correct low bits,
// beginning with three.
func inverse(odd uint64) uint64 {
	x := odd
	for range 5 {
		x *= 2 - odd*x
	}
	return x
}

// hashExternal returns a hash of the id of another system.
func hashExternal(id string) uint64 { return maphash.String(externalSeed, id) }
