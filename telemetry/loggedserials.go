package telemetry

import "sync/atomic"

// loggedSerials are the serials of the last tokens that a line was logged for.
// The zero value has none. Its methods may be called concurrently.
type loggedSerials struct {
	slots [1024]atomic.Uint64
}

// add adds a serial. It returns false if loggedSerials has the serial already.
func (l *loggedSerials) add(serial uint64) bool {
	return l.slots[serial%uint64(len(l.slots))].Swap(serial) != serial
}
