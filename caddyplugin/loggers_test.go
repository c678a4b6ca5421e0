package caddyplugin

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// One configuration replaces another, and a third fails: whoever ends first, the
// log is that of one which runs, and never of one that has ended.
func TestTheLogIsThatOfAConfigurationThatRuns(t *testing.T) {
	r := newReport()
	logger := func() *zap.Logger { return zap.NewNop().WithOptions(zap.IncreaseLevel(zapcore.WarnLevel)) }
	first, second, third := logger(), logger(), logger()
	check := func(when string, want *zap.Logger) {
		t.Helper()
		if r.loggers.last() != want {
			t.Errorf("%s: it is another", when)
		}
	}
	old := r.lend(first)
	check("at the beginning", first)
	current := r.lend(second)
	check("after a reload", second)
	old.takeBack()
	check("after the first has ended", second)
	r.lend(third).takeBack()
	check("after another has failed", second)
	current.takeBack()
	if last := r.loggers.last(); last == first || last == second || last == third {
		t.Error("the logger of a configuration that has ended is in use")
	}
}
