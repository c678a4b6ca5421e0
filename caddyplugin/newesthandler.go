// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"context"
	"log/slog"
)

// A newestHandler writes to the log of the newest configuration that uses a
// shared client. Each configuration has logs of its own, and the client
// outlives them. Without a configuration it writes nothing.
type newestHandler struct{ client *sharedClient }

// current returns the handler of the newest configuration.
func (h newestHandler) current() slog.Handler {
	if newest, ok := h.client.settings.newest(); ok {
		return newest.log
	}
	return slog.DiscardHandler
}

// Enabled implements [slog.Handler].
func (h newestHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.current().Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h newestHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.current().Handle(ctx, record)
}

// WithAttrs implements [slog.Handler]. The returned handler keeps the log of
// the present configuration.
func (h newestHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return h.current().WithAttrs(attributes)
}

// WithGroup implements [slog.Handler], with the limit of WithAttrs.
func (h newestHandler) WithGroup(name string) slog.Handler { return h.current().WithGroup(name) }
