// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A collector keeps spans for printing.
type collector struct {
	open  sync.WaitGroup
	mu    sync.Mutex
	ended []sdktrace.ReadOnlySpan
}

var _ sdktrace.SpanProcessor = (*collector)(nil)

// take returns the spans since the last call. It waits until all started spans
// have ended: a server's span ends after the client has the answer.
func (c *collector) take() []sdktrace.ReadOnlySpan {
	c.open.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := c.ended
	c.ended = nil
	return spans
}

func (c *collector) OnStart(context.Context, sdktrace.ReadWriteSpan) { c.open.Add(1) }

func (c *collector) OnEnd(span sdktrace.ReadOnlySpan) {
	c.mu.Lock()
	c.ended = append(c.ended, span)
	c.mu.Unlock()
	c.open.Done()
}

func (*collector) Shutdown(context.Context) error   { return nil }
func (*collector) ForceFlush(context.Context) error { return nil }
