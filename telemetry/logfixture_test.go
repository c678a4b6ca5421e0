// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/telemetry"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// A logFixture is a program with a Logger that uses a fake server.
type logFixture struct {
	*fixture
	log *logBuffer
}

// A logBuffer keeps log lines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *logBuffer) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *logBuffer) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// read returns the lines since the last call, each with its level, its message
// and the attributes in keys.
func (j *logBuffer) read(keys ...string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []string
	for line := range strings.Lines(j.text.String()) {
		var kept []string
		for _, field := range fields(strings.TrimSpace(line)) {
			key, _, _ := strings.Cut(field, "=")
			if key == "level" || key == "msg" || slices.Contains(keys, key) {
				kept = append(kept, strings.TrimPrefix(strings.TrimPrefix(field, "level="), "msg="))
			}
		}
		lines = append(lines, strings.Join(kept, " "))
	}
	j.text.Reset()
	return lines
}

// fields splits a line of slog's text handler.
func fields(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

func newLogFixture(t *testing.T) *logFixture {
	pismo := passporttest.NewInProcess(t, passporttest.Config{})
	s := newFixture(t, pismo, pismo.RoundTripper())
	log := new(logBuffer)
	logger := telemetry.NewLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s.build(logger.SourceHooks(), logger.TransportHooks())
	return &logFixture{s, log}
}

func (l *logFixture) wantLines(what string, got []string, want ...string) {
	l.Helper()
	if !slices.Equal(got, want) {
		l.Errorf("%s: logged\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
