// Package bench holds the benchmarks behind the figures in docs/benchmarks.md: our
// packages next to the ones people use without them, doing the same work on the
// same machine in the same run. It has nothing but tests; the command figures
// runs them and prints the table.
//
//	go -C internal/bench run ./figures
//
// How to read a benchmark's name: /side= says whose code runs, as benchstat
// wants it (benchstat -col /side). What a benchmark counts besides time and
// allocations has a unit of its own: conns, issuances, failed, peak-bytes.
package bench
