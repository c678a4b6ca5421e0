package caddyplugin

import (
	"slices"
	"sync"

	"go.uber.org/zap"
)

// loggers are those that configurations have lent, of which the last is used:
// while one configuration replaces another there are two, and either may go
// first.
type loggers struct {
	mu   sync.Mutex
	lent []*zap.Logger
}

// last returns the logger that was lent last, of those not taken back.
func (l *loggers) last() *zap.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lent) == 0 {
		return zap.NewNop()
	}
	return l.lent[len(l.lent)-1]
}

// A loan is a logger that a configuration has lent.
type loan struct {
	to     *loggers
	logger *zap.Logger
}

// lend has the report use a logger, of which there is no other loan.
func (r *report) lend(logger *zap.Logger) loan {
	r.loggers.mu.Lock()
	defer r.loggers.mu.Unlock()
	r.loggers.lent = append(r.loggers.lent, logger)
	return loan{&r.loggers, logger}
}

// takeBack has the report use a logger no longer.
func (l loan) takeBack() {
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.to.lent = slices.DeleteFunc(l.to.lent, func(lent *zap.Logger) bool { return lent == l.logger })
}
