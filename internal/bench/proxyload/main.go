// Proxyload measures what authentication costs in a reverse proxy: the
// processor time that middleware.NewProxy spends on a request, next to a bare
// httputil.ReverseProxy with a static Authorization, without and with a
// BufferPool.
//
//	go -C internal/bench run ./proxyload
//
// Behind all of them is the fake server's resource API, in front of them a generator
// of load with 16 and with 128 connections. The proxy, the fake server and the
// generator are processes of their own, so that the time the system charges to
// the proxy is that of the proxy. In each round they are new, and the variants
// take turns of 2,000 requests in changing order; a ratio is the median of those
// within the rounds. The machine need not be idle, but whoever else uses it makes
// requests/s and p99 worse, which no ratio mends.
//
// With -caddy it measures the same for Caddy: the binary of caddyplugin/cmd/caddy
// with pismo_proxy, next to the same with reverse_proxy and a header_up that has a
// token written down. The time charged is the whole of Caddy's.
//
// A missed target is printed as missed, and no failure of the command; a request
// that fails, or has another answer than it should, is one. With -rounds the
// rounds can be more or fewer. With -quick everything runs once, and briefly:
// for a first look only. With -profile directory each proxy (but Caddy) of the last round
// leaves a profile of its processor time there, and its own time includes
// taking it.
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
		exit(play(name, os.Stdin, os.Stdout))
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
