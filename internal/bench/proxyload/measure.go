package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// patience is how long a round may take at one number of connections before it
// is given up. One of 20,000 requests takes some ten seconds.
const patience = 5 * time.Minute

// connections are how many the load has.
var connections = []int{16, 128}

// A series says how often is measured, and how much.
type series struct {
	comparison
	binary string // of Caddy, if that is compared

	rounds, warmUp, requests int
	slices                   int    // in how many turns a variant makes its requests
	profiles                 string // a directory, or ""
}

// A sample is what one round measured.
type sample struct {
	cpu  time.Duration // of the proxy, per request
	rate float64       // requests per second
	p99  time.Duration
}

// A setting is what is measured.
type setting struct {
	connections int
	variant     variant
}

// run returns the samples of every setting, one of each round.
func (s series) run(ctx context.Context) (_ map[setting][]sample, err error) {
	fake, err := spawn(ctx, roleFake)
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

// round measures every variant once, in processes of its own. They take turns
// that are short, so that all get their share of whatever else the machine does.
func (s series) round(ctx context.Context, p platform, connections, round int) (_ map[variant]sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pairs := map[variant]*pair{}
	defer func() {
		for _, started := range pairs {
			err = errors.Join(err, started.stop())
		}
	}()
	for i, v := range s.variants {
		a := assignment{Variant: v, Platform: p, Binary: s.binary}
		if s.profiles != "" && round == s.rounds-1 {
			a.Profile = filepath.Join(s.profiles, fmt.Sprintf("%d-connections-variant-%d.pprof", connections, i))
		}
		started, err := newPair(ctx, a, connections, s.warmUp)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v, err)
		}
		pairs[v] = started
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

// rotated returns the elements of s, beginning with another at each turn, and
// every other time around backwards: so none always follows the same other.
func rotated[E any](s []E, turn int) []E {
	first := turn % len(s)
	order := slices.Concat(s[first:], s[:first])
	if turn/len(s)%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// A pair is a proxy and the load on it, and what they have measured so far.
type pair struct {
	proxy, load *child
	cpu         time.Duration // that the proxy had taken when it was warm
	took        time.Duration
	times       []time.Duration // of the requests
}

// newPair starts a pair, and warms it up.
func newPair(ctx context.Context, a assignment, connections, warmUp int) (_ *pair, err error) {
	p := new(pair)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if p.proxy, err = spawn(ctx, roleProxy); err != nil {
		return nil, err
	}
	if p.load, err = spawn(ctx, roleLoad); err != nil {
		return nil, err
	}
	on := target{Connections: connections}
	if err := p.proxy.ask(a, &on.Address); err != nil {
		return nil, err
	}
	var connected int
	if err := p.load.ask(on, &connected); err != nil {
		return nil, err
	}
	var ignored outcome
	if err := p.load.ask(order{warmUp}, &ignored); err != nil {
		return nil, err
	}
	var spent usage
	if err := p.proxy.ask(struct{}{}, &spent); err != nil {
		return nil, err
	}
	p.cpu = spent.CPU
	return p, nil
}

// run makes requests.
func (p *pair) run(requests int) error {
	var came outcome
	if err := p.load.ask(order{requests}, &came); err != nil {
		return err
	}
	p.took += came.Took
	p.times = append(p.times, came.Times...)
	return nil
}

// sample returns what was measured since the pair is warm.
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

// stop stops both, the load first: a proxy that goes away would be a failure.
func (p *pair) stop() error {
	var faults []error
	for _, c := range []*child{p.load, p.proxy} {
		if c != nil {
			faults = append(faults, c.stop())
		}
	}
	return errors.Join(faults...)
}
