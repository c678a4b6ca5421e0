// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// demoTimeout bounds the whole demo.
	demoTimeout = 3 * time.Minute
	// returnTimeout bounds the time until replicas share tokens again after the
	// store is back. The longest pause of a replica is 30 s.
	returnTimeout = time.Minute
	returnPoll    = 200 * time.Millisecond
)

var (
	errWrongFigure = errors.New("a figure differs from the expected figure; see the table")
	// errSlowStore means that the figures prove nothing. A replica waits 250 ms
	// for the store, and then goes on without it.
	errSlowStore = errors.New("the store did not answer in time, so the figures are void; this machine is too busy")
)

// demoAttempts is how often the demo takes its steps if the store is too slow.
const demoAttempts = 3

// A demonstration is the state of a running demo.
type demonstration struct {
	*stage

	out   io.Writer
	wrong bool // a figure
	slow  bool // the store
	set   int  // of accounts, used last
}

// demo takes each step once, and checks its figures.
func demo(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	_, _ = fmt.Fprintln(out, o.describe())
	o.revokeOld = false
	if err := attempt(ctx, o, out, (*demonstration).sharing); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "\nOn a platform where a new token ends the older ones of its account:")
	o.revokeOld = true
	if err := attempt(ctx, o, out, (*demonstration).revoking); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "\nAll figures are as expected.")
	return nil
}

// attempt takes steps, and takes them again if the store is too slow.
func attempt(ctx context.Context, o options, out io.Writer, steps func(*demonstration, options) error) (err error) {
	for n := range demoAttempts {
		if n > 0 {
			_, _ = fmt.Fprintf(out, "\n%v. Once more:\n", err)
		}
		if err = perform(ctx, o, out, steps); !errors.Is(err, errSlowStore) {
			return err
		}
	}
	return err
}

// perform takes steps on a stage of their own.
func perform(ctx context.Context, o options, out io.Writer, steps func(*demonstration, options) error) error {
	stage, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	defer stage.close()
	d := &demonstration{stage: stage, out: out}
	printHeader(out, "step")
	err = steps(d, o)
	if d.slow {
		return errSlowStore
	}
	if err != nil {
		return err
	}
	d.printReplicas()
	if d.wrong {
		return errWrongFigure
	}
	return nil
}

// sharing shows what a store saves.
func (d *demonstration) sharing(o options) error {
	n, all := o.accounts, o.accounts*o.replicas
	accounts := accountIDs(n, d.set)
	request := func() error { return d.round(accounts) }
	restart := func(replicas int) func() error {
		return func() error {
			for replica := range replicas {
				if err := d.restart(replica); err != nil {
					return err
				}
			}
			return request()
		}
	}
	stop := func() error {
		d.store.stop()
		return request()
	}
	others := func() error {
		d.set++
		return d.round(accountIDs(n, d.set))
	}
	for _, step := range []func() error{
		d.step("all replicas start", issues(n, all), request),
		d.step("the same requests again", issues(0, 0), request),
		d.step("replica 1 is killed and starts again", issues(0, n), restart(1)),
		d.step("all replicas are killed and start again", issues(0, all), restart(o.replicas)),
		d.step("the store stops", issues(0, 0), stop),
		d.step("replica 1 restarts while there is no store", issues(n, n), restart(1)),
		d.awaitSharing,
		d.step("other accounts", issues(n, all), others),
	} {
		if err := step(); err != nil {
			return err
		}
		if d.slow {
			return errSlowStore
		}
	}
	return nil
}

// revoking shows a platform where a new token ends the older ones. Without a
// store, the replicas end one another's tokens in turn.
func (d *demonstration) revoking(o options) error {
	n, others := o.accounts, o.accounts*(o.replicas-1)
	accounts := accountIDs(n, d.set)
	const rounds = 3
	return d.step(fmt.Sprintf("all replicas start, and send %d requests each", rounds*n), expected{
		issued:  both[amount]{exactly(n), atLeast(n + others)},
		refused: atLeast(others),
		failed:  atLeast(0), // A replica renews a refused token a few times only.
	}, func() error {
		for range rounds {
			if err := d.round(accounts); err != nil {
				return err
			}
		}
		return nil
	})()
}

// issues returns the expected figures of a step that only issues tokens.
func issues(with, without int) expected {
	return expected{issued: both[amount]{exactly(with), exactly(without)}}
}

// step returns a function that takes a step, and prints its figures.
func (d *demonstration) step(name string, want expected, run func() error) func() error {
	return func() error {
		before := d.figures()
		if err := run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		got := d.figures().since(before)
		result, stopped := "ok", d.store.running == nil
		switch fault := want.fault(got); {
		case !stopped && d.storeError != "":
			d.wrong, result = true, "WRONG: the store fails: "+d.storeError
		case !stopped && got.storeMissed > 0:
			d.slow, result = true, "VOID: the store was too slow"
		case fault != "":
			d.wrong, result = true, fault
		}
		printLine(d.out, name, got, result)
		return nil
	}
}

// awaitSharing starts the store again. It sends requests for an account that is
// new each time, until the replicas share the token. A store in memory starts
// empty.
func (d *demonstration) awaitSharing() error {
	if err := d.store.start(); err != nil {
		return err
	}
	began, before := time.Now(), d.figures()
	for time.Since(began) < returnTimeout {
		last := d.figures()
		d.set++ // The id of its account is new.
		if err := d.round(accountIDs(1, d.set)); err != nil {
			return err
		}
		now := d.figures()
		if one := now.since(last); one.issued.With == 1 && one.storeMissed == 0 {
			got, result := now.since(before), "ok"
			if got.failed.With > 0 {
				d.wrong, result = true, "WRONG: requests failed"
			}
			name := fmt.Sprintf("the store is back, and used after %.1f s", time.Since(began).Seconds())
			printLine(d.out, name, got, result)
			return nil
		}
		select {
		case <-time.After(returnPoll):
		case <-d.ctx.Done():
			return d.ctx.Err()
		}
	}
	return fmt.Errorf("the replicas do not share tokens %v after the store is back", returnTimeout)
}

// printReplicas prints which replica got how many tokens.
func (d *demonstration) printReplicas() {
	_, _ = fmt.Fprintln(d.out, "\nThese tokens by the replica that got them from Pismo:")
	for n := range d.replicas {
		issued := d.issuedTo(n)
		_, _ = fmt.Fprintf(d.out, "%-*s%*d%*d\n", firstColumn, replicaName(n), column, issued.With, column, issued.Without)
	}
}
