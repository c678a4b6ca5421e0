// SPDX-License-Identifier: Apache-2.0

// Package bench has the benchmarks behind the figures in docs/benchmarks.md.
// They compare this project's packages with their peers, which do the same work
// on the same machine in the same run. The package has only tests. The command
// figures runs them and prints the table.
//
//	go -C internal/bench run ./figures
//
// In the name of a benchmark, /side= says whose code runs, as benchstat expects
// (benchstat -col /side). The further units are conns, issuances, failed,
// peak-bytes, B/account, B/entry and %missed.
package bench
