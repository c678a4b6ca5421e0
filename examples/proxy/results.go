// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// A stepResult is the result of a step, with the expected result.
type stepResult struct {
	step      string
	got, want stepCounts
}

// A stepCounts has the figures of a step.
type stepCounts struct{ requests, issuances, replays, passed, failures int }

// asNeeded is the expected number of requests of a step that sends as many
// requests as it needs.
const asNeeded = -1

func (c *eventCounters) counts() stepCounts {
	return stepCounts{issuances: int(c.issuances.Load()), replays: int(c.replays.Load()), passed: int(c.passed.Load())}
}

func (c *stepCounts) add(other stepCounts) {
	c.requests += other.requests
	c.failures += other.failures
}

// printTable prints the results of the steps. It returns an error if a figure
// differs from the expected figure, or if the fake servers issued another
// number of tokens than the proxies counted.
func (d *demonstration) printTable(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\nstep\trequests\tissuances\treplays\t401 passed on\tfailures\t\t")
	wrong := false
	issued := 0
	for _, r := range d.table {
		mark := "ok"
		if r.got != r.want {
			wrong = true
			mark = fmt.Sprintf("WRONG, want %+v", r.want)
		}
		issued += r.got.issuances
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.step, r.got.requests, r.got.issuances, r.got.replays, r.got.passed, r.got.failures, mark)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if made := d.fake.Counts().Issued + d.shortLived.fake.Counts().Issued; made != issued {
		return fmt.Errorf("the fake servers issued %d tokens, but the proxies counted %d", made, issued)
	}
	if wrong {
		return errors.New("a figure differs from the expected figure; see the table")
	}
	return nil
}
