// SPDX-License-Identifier: Apache-2.0

package middleware_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// newLogger returns a logger and its output.
func newLogger() (*slog.Logger, *recorder) {
	logged := new(recorder)
	return slog.New(slog.NewJSONHandler(logged, nil)), logged
}

// lines returns the log, line by line.
func (r *recorder) lines() []map[string]any {
	var lines []map[string]any
	for line := range strings.Lines(r.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			fields = map[string]any{"not JSON": line}
		}
		lines = append(lines, fields)
	}
	return lines
}

// A recorder keeps everything that is written to it, from any goroutine.
type recorder struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// summary returns the level, the message and the kind of each line.
func summary(logged *recorder) string {
	var all []string
	for _, line := range logged.lines() {
		all = append(all, fmt.Sprintf("%v %v %v", line["level"], line["msg"], line["error_type"]))
	}
	return strings.Join(all, "; ")
}
