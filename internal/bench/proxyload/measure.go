// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// roundTimeout bounds a round with one number of connections. A round of 20,000
// requests takes about ten seconds.
const roundTimeout = 5 * time.Minute

// connections are the numbers of connections of the load generator.
var connections = []int{16, 128}

// A series says how many rounds and requests to measure.
type series struct {
	comparison
	binary string // of Caddy, if Caddy is measured

	rounds, warmUp, requests int
	slices                   int    // the number of turns of a variant in a round
	profiles                 string // a directory, or ""
}

// A sample is the figures of one round.
type sample struct {
	cpu  time.Duration // of the proxy, per request
	rate float64       // requests per second
	p99  time.Duration
}

// A setting is a variant with a number of connections.
type setting struct {
	connections int
	variant     variant
}

// run returns the samples of every setting, one for each round.
func (s series) run(ctx context.Context) (_ map[setting][]sample, err error) {
	fake, err := startChild(ctx, roleFake)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fake.stop()) }()
	var p platform
	if err := fake.ask(struct{}{}, &p); err != nil {
		return nil, err
	}
	results := map[setting][]sample{}
	for round := range s.rounds {
		for _, n := range connections {
			samples, err := s.round(ctx, p, n, round)
			if err != nil {
				return nil, fmt.Errorf("round %d, %d connections: %w", round, n, err)
			}
			for v, got := range samples {
				at := setting{n, v}
				results[at] = append(results[at], got)
			}
		}
	}
	return results, nil
}

// round measures every variant once, in new processes. The variants take short
// turns, so that other processes disturb all of them alike.
func (s series) round(ctx context.Context, p platform, connections, round int) (_ map[variant]sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	pairs := map[variant]*pair{}
	defer func() {
		for _, started := range pairs {
			err = errors.Join(err, started.stop())
		}
	}()
	if err := s.startPairs(ctx, pairs, p, connections, round); err != nil {
		return nil, err
	}
	for turn := range s.slices {
		for _, v := range rotated(s.variants, round+turn) {
			if err := pairs[v].run(s.requests / s.slices); err != nil {
				return nil, fmt.Errorf("%s: %w", v, err)
			}
		}
	}
	samples := map[variant]sample{}
	for v, measured := range pairs {
		if samples[v], err = measured.sample(); err != nil {
			return nil, fmt.Errorf("%s: %w", v, err)
		}
	}
	return samples, nil
}

// startPairs adds a pair for each variant to pairs. The caller stops them, also
// after an error.
func (s series) startPairs(ctx context.Context, pairs map[variant]*pair, p platform, connections, round int) error {
	for i, v := range s.variants {
		config := proxyConfig{Variant: v, Platform: p, Binary: s.binary}
		if s.profiles != "" && round == s.rounds-1 {
			config.Profile = filepath.Join(s.profiles, fmt.Sprintf("%d-connections-variant-%d.pprof", connections, i))
		}
		started, err := newPair(ctx, config, connections, s.warmUp)
		if err != nil {
			return fmt.Errorf("%s: %w", v, err)
		}
		pairs[v] = started
	}
	return nil
}

// rotated returns the elements of s. Each turn begins with another element, and
// every other cycle is reversed, so that no element always follows the same
// one.
func rotated[E any](s []E, turn int) []E {
	first := turn % len(s)
	order := slices.Concat(s[first:], s[:first])
	if turn/len(s)%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// A pair is a proxy with its load generator, and their figures so far.
type pair struct {
	proxy, load *child
	cpu         time.Duration // of the proxy after the warm-up
	took        time.Duration
	times       []time.Duration // of the requests
}

// newPair starts a pair and warms it up.
func newPair(ctx context.Context, a proxyConfig, connections, warmUp int) (_ *pair, err error) {
	p := new(pair)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if p.proxy, err = startChild(ctx, roleProxy); err != nil {
		return nil, err
	}
	if p.load, err = startChild(ctx, roleLoad); err != nil {
		return nil, err
	}
	on := loadTarget{Connections: connections}
	if err := p.proxy.ask(a, &on.Address); err != nil {
		return nil, err
	}
	var connected int
	if err := p.load.ask(on, &connected); err != nil {
		return nil, err
	}
	var ignored outcome
	if err := p.load.ask(loadRequest{warmUp}, &ignored); err != nil {
		return nil, err
	}
	var spent usage
	if err := p.proxy.ask(struct{}{}, &spent); err != nil {
		return nil, err
	}
	p.cpu = spent.CPU
	return p, nil
}

// run sends requests.
func (p *pair) run(requests int) error {
	var came outcome
	if err := p.load.ask(loadRequest{requests}, &came); err != nil {
		return err
	}
	p.took += came.Took
	p.times = append(p.times, came.Times...)
	return nil
}

// sample returns the figures since the warm-up.
func (p *pair) sample() (sample, error) {
	var spent usage
	if err := p.proxy.ask(struct{}{}, &spent); err != nil {
		return sample{}, err
	}
	n := len(p.times)
	slices.Sort(p.times)
	return sample{
		cpu:  (spent.CPU - p.cpu) / time.Duration(n),
		rate: float64(n) / p.took.Seconds(),
		p99:  p.times[(n-1)*99/100],
	}, nil
}

// stop stops both. The load generator would fail without the proxy, so it comes
// first.
func (p *pair) stop() error {
	var faults []error
	for _, c := range []*child{p.load, p.proxy} {
		if c != nil {
			faults = append(faults, c.stop())
		}
	}
	return errors.Join(faults...)
}
