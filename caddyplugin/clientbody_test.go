// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A slowlyFailingBody returns its error a while after the server has canceled
// the context of the request.
type slowlyFailingBody struct{ delay time.Duration }

func (b slowlyFailingBody) Read([]byte) (int, error) {
	time.Sleep(b.delay)
	return 0, os.ErrDeadlineExceeded
}

func (slowlyFailingBody) Close() error { return nil }

// A failed read is not a client that has left, although the server cancels the
// context first.
func TestClientBody_WaitsForTheReadError(t *testing.T) {
	for delay, want := range map[time.Duration]error{
		readEndTimeout / 2: errBodyUnreadable,
		2 * readEndTimeout: nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			body := newClientBody(slowlyFailingBody{delay})
			go func() { _, _ = io.ReadAll(body) }()
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			if err := body.err(ctx); err != nil {
				t.Errorf("before the cancellation: got %v, want no error", err)
			}
			cancel()
			if err := body.err(ctx); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			time.Sleep(delay)
		})
	}
}
