// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// A row of the table compares two benchmarks, or has one benchmark without a
// peer.
type row struct {
	what string
	ours string // the name of a benchmark, without "Benchmark"
	peer string // "" if there is none
	cpu  int    // GOMAXPROCS; 0 means the default
	once bool   // run one iteration of a scenario that measures itself
	must []limit
}

// compares reports whether the row has a target for a ratio to the peer.
func (r row) compares() bool {
	return slices.ContainsFunc(r.must, func(l limit) bool { return l.ratio })
}

// A limit is a bound for one unit of a benchmark.
type limit struct {
	relation relation
	bound    float64
	unit     string // a unit of benchfmt: sec/op, not ns/op
	what     string // describes the unit in the table
	ratio    bool   // the bound is for the ratio to the peer
	aim      float64
}

// A relation is the required relation of a figure to its bound.
type relation string

const (
	atMost  relation = "at most"
	under   relation = "under"
	atLeast relation = "at least"
	exactly relation = "exactly"
)

// timeRatio returns a limit for the ratio of the time to the peer's. The aim is
// a better ratio to reach, or 0.
func timeRatio(bound, aim float64) limit {
	return limit{atMost, bound, "sec/op", "the time", true, aim}
}

func absolute(relation relation, bound float64, unit, what string) limit {
	return limit{relation: relation, bound: bound, unit: unit, what: what}
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

var noAllocations = absolute(exactly, 0, "allocs/op", "allocations")

// table is the table of docs/benchmarks.md with its targets.
var table = []row{
	{
		what: "`ForAccount(acct).Token(ctx)`, fresh, against x/oauth2 `ReuseTokenSource`",
		ours: "AccountSource/side=pismoauth",
		peer: "AccountSource/side=oauth2",
		must: []limit{timeRatio(0.9, 0), noAllocations},
	},
	{
		what: "the same with `-cpu 8`",
		ours: "AccountSourceParallel/side=pismoauth",
		peer: "AccountSourceParallel/side=oauth2",
		cpu:  8,
		must: []limit{timeRatio(0.4, 0), noAllocations},
	},
	{
		what: "`Source.Token(ctx, acct)`, one account, against x/oauth2 `ReuseTokenSource`",
		ours: "SourceOfOne/side=pismoauth",
		peer: "SourceOfOne/side=oauth2",
		must: []limit{timeRatio(1, 0.8), noAllocations},
	},
	{
		what: "`Source.Token(ctx, acct)`, at random from 10,000 accounts, against a map of x/oauth2 sources behind an RWMutex",
		ours: "Source/side=pismoauth",
		peer: "Source/side=map",
		must: []limit{timeRatio(1, 0), noAllocations},
	},
	{
		what: "the same with `-cpu 8`",
		ours: "SourceParallel/side=pismoauth",
		peer: "SourceParallel/side=map",
		cpu:  8,
		must: []limit{timeRatio(0.6, 0), noAllocations},
	},
	{
		what: "transport, GET, 8 headers, no body, in-process base, against x/oauth2's Transport",
		ours: "Get/side=pismoauth",
		peer: "Get/side=oauth2",
		must: []limit{timeRatio(0.75, 0.52), absolute(atMost, 8, "allocs/op", "allocations")},
	},
	{
		what: "the same against retryablehttp stacked on x/oauth2",
		ours: "Get/side=pismoauth",
		peer: "Get/side=retryablehttp",
		must: []limit{timeRatio(0.6, 0.45)},
	},
	{
		what: "transport, 1 MiB body with GetBody, against retryablehttp stacked on x/oauth2",
		ours: "Post/side=pismoauth",
		peer: "Post/side=retryablehttp",
		must: []limit{absolute(under, 4*kib, "B/op", "allocated per request")},
	},
	{
		what: "100 MiB streaming upload of known length, without GetBody",
		ours: "Stream/length=known/side=pismoauth",
		once: true,
		must: []limit{absolute(under, 8*mib, "peak-bytes", "peak heap above idle")},
	},
	{
		what: "the same of unknown length, against retryablehttp",
		ours: "Stream/length=unknown/side=pismoauth",
		peer: "Stream/length=unknown/side=retryablehttp",
		once: true,
		must: []limit{absolute(under, 8*mib, "peak-bytes", "peak heap above idle")},
	},
	{
		what: "TLS upstream on loopback, HTTP/1.1, 32 workers, 3,200 GETs, defaults, against http.DefaultTransport",
		ours: "TLS/side=pismoauth",
		peer: "TLS/side=DefaultTransport",
		once: true,
		must: []limit{
			{atLeast, 4, "req/s", "the requests/s", true, 0},
			absolute(atMost, 96, "conns", "connections opened"),
		},
	},
	revocation("1,000 callers at once, one revocation", "callers=together/latency=0"),
	revocation("1,000 callers over 200 ms, one revocation", "callers=staggered/latency=0"),
	revocation("1,000 callers at once, one revocation, 200 ms per issuance", "callers=together/latency=200ms"),
	revocation("1,000 callers over 200 ms, one revocation, 200 ms per issuance", "callers=staggered/latency=200ms"),
	{
		what: "1,000 callers on a token in its renewal window, issuance takes 200 ms",
		ours: "RenewalWindow",
		once: true,
		must: []limit{absolute(under, 1e-3, "p99-sec", "p99 of the wait")},
	},
	{
		what: "100,000 accounts cached, with 400-byte tokens",
		ours: "CachedAccounts",
		once: true,
		must: []limit{absolute(under, 1.5*kib, "B/account", "per account")},
	},
	{
		what: "`Source.Token`, at random from 100,000 accounts, against `ForAccount`",
		ours: "Lookup/side=Source.Token",
		peer: "Lookup/side=For",
		must: []limit{timeRatio(8, 0)},
	},
}

// accountsTable is the table of docs/benchmarks.md for very many accounts.
var accountsTable = []row{
	accounts("a random id of 100,000 is parsed and looked up, against golang-lru expirable", "accounts=100000", "serial", 0.8),
	accounts("the same on all processors", "accounts=100000", "parallel", 0.4),
	accounts("a random id of 1,000,000, against golang-lru expirable", "accounts=1000000", "serial", 1),
	accounts("the same on all processors", "accounts=1000000", "parallel", 0.4),
	{
		what: "1,000,000 accounts: one garbage collection, against golang-lru expirable",
		ours: "AccountsMemory/accounts=1000000/side=pismoauth",
		peer: "AccountsMemory/accounts=1000000/side=expirable-lru",
		once: true,
		must: []limit{
			{atMost, 1, "ms/GC", "the time", true, 0},
			absolute(atMost, 780, "B/account", "per account"),
		},
	},
	{
		what: "the first token of each of 100,000 accounts, without a network, against an insertion into golang-lru expirable",
		ours: "AccountsFill/side=pismoauth",
		peer: "AccountsFill/side=expirable-lru",
		once: true,
		must: []limit{absolute(atMost, 6e-6, "sec/account", "per account")},
	},
}

// accounts returns a row for look-ups of many accounts.
func accounts(what, number, how string, bound float64) row {
	return row{
		what: what,
		ours: "Accounts/" + number + "/side=pismoauth/" + how,
		peer: "Accounts/" + number + "/side=expirable-lru/" + how,
		must: []limit{timeRatio(bound, 0)},
	}
}

func revocation(what, variant string) row {
	return row{
		what: what,
		ours: "Revocation/" + variant,
		once: true,
		must: []limit{
			absolute(exactly, 1, "issuances", "issuance"),
			absolute(exactly, 0, "failed", "callers see a 401 or an error"),
		},
	}
}
