// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A load sends requests to both servers until it is stopped.
type load struct {
	stop   chan struct{}
	done   sync.WaitGroup
	sent   atomic.Int64
	failed atomic.Int64
	first  sync.Once
	err    error
}

func (f *fleet) startLoad(workers int) *load {
	l := &load{stop: make(chan struct{})}
	all := accounts()
	for worker := range workers {
		l.done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				account := all[(worker*7+n)%len(all)]
				if err := f.servers[(worker+n)%len(f.servers)].get(account); err != nil {
					l.failed.Add(1)
					l.first.Do(func() { l.err = fmt.Errorf("%s: %w", account, err) })
				}
				l.sent.Add(1)
			}
		})
	}
	return l
}
