// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// liveLifetime is the lifetime of the tokens, so that renewals are seen.
	liveLifetime = time.Minute
	// liveTick is the time between two rounds of requests.
	liveTick = time.Second
	// The rounds of a cycle at which something happens.
	liveRestart = 10
	liveStop    = 35
	liveStart   = 45
	liveReport  = 5
	liveCycle   = 60
)

// live sends a request for each account every second, kills replicas, stops the
// store and starts it again, and prints the figures until ctx is done.
func live(ctx context.Context, o options, out io.Writer) error {
	o.lifetime = liveLifetime
	// The replicas end when their input ends, not with ctx, so that no request
	// fails at the end.
	stage, err := newStage(context.WithoutCancel(ctx), o)
	if err != nil {
		return err
	}
	defer stage.close()
	_, _ = fmt.Fprintln(out, o.describe(), "Tokens live for a minute.\nThe figures are totals. Stop it with Ctrl-C.")
	printHeader(out, "time")
	began := time.Now()
	ticker := time.NewTicker(liveTick)
	defer ticker.Stop()
	accounts := accountIDs(o.accounts, 0)
	for round := 0; ; round++ {
		event, err := stage.event(round)
		if err != nil {
			return err
		}
		if err := stage.round(accounts); err != nil {
			return err
		}
		if event != "" {
			elapsed := time.Since(began).Round(time.Second)
			printLine(out, fmt.Sprintf("%2d:%02d  %s", int(elapsed.Minutes()), int(elapsed.Seconds())%60, event), stage.figures(), "")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// event makes happen what is due before a round, and returns its name. The name
// is "" if there is nothing to print.
func (s *stage) event(round int) (string, error) {
	n := round / liveRestart % len(s.replicas)
	switch at := round % liveCycle; {
	case round == 0:
		return "all replicas start", nil
	case at == liveStop:
		s.store.stop()
		return "the store stops", nil
	case at == liveStart:
		return "the store starts again", s.store.start()
	case at%liveRestart == 0:
		return replicaName(n) + " is killed and starts again", s.restart(n)
	case at%liveReport == 0:
		return "time passes", nil
	}
	return "", nil
}
