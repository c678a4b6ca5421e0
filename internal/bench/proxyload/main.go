// SPDX-License-Identifier: Apache-2.0

// Proxyload measures what authentication costs in a reverse proxy: the
// processor time that middleware.NewProxy spends on a request, next to a bare
// httputil.ReverseProxy with a static Authorization, without and with a
// BufferPool.
//
//	go -C internal/bench run ./proxyload
//
// All proxies forward to the fake server's resource API. A load generator sends
// requests with 16 and with 128 connections. The proxy, the fake server and the
// generator are separate processes, so that the proxy's processor time is only
// its own. Each round has new proxies and generators. The variants take turns
// of 2,000 requests in changing order. A ratio is the median of the ratios
// within the rounds. The machine need not be idle, but other processes make
// requests/s and p99 worse.
//
// With -caddy it measures the binary of caddyplugin/cmd/caddy with pismo_proxy,
// next to the same binary with reverse_proxy and a static token in header_up.
// The processor time is that of the whole Caddy.
//
// The command prints a missed target as missed, and does not fail. It fails if
// a request fails or gets a wrong answer. -rounds sets the number of rounds.
// With -quick it runs one short round. With -profile directory each proxy of
// the last round, except Caddy, writes a processor profile there; the profile
// adds to its processor time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"
)

func main() {
	if name := os.Getenv(roleVariable); name != "" {
		exit(runRole(name, os.Stdin, os.Stdout))
		return
	}
	rounds := flag.Int("rounds", 10, "measure each variant this many `times`")
	quick := flag.Bool("quick", false, "measure each variant once, and briefly")
	ofCaddy := flag.Bool("caddy", false, "measure Caddy")
	profile := flag.String("profile", "", "keep profiles of the last round's proxies in this `directory`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s := series{rounds: max(*rounds, 1), warmUp: 2_000, requests: 20_000, slices: 10, profiles: *profile}
	if *quick {
		s = series{rounds: 1, warmUp: 200, requests: 1_000, slices: 2, profiles: *profile}
	}
	s.comparison = library
	if *ofCaddy {
		s.comparison = caddy
	}
	exit(run(ctx, s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "proxyload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s series) error {
	if s.subject == caddyPismo {
		binary, remove, err := buildCaddy(ctx)
		if err != nil {
			return err
		}
		defer remove()
		s.binary = binary
	}
	begin := time.Now()
	results, err := s.run(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, %d processors; %d rounds of %d requests took %v.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), s.rounds, s.requests, time.Since(begin).Round(time.Second))
	fmt.Print("Medians; ratios with their 95 % confidence interval.\n\n")
	s.writeTable(os.Stdout, results)
	return nil
}
