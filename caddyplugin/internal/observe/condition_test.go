package observe

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An endpoint that fails every other time must not fill the log.
func TestCondition_Flapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := 0
		var ended atomic.Int64
		c := newCondition(func() { ended.Add(1) })
		for range 1000 {
			if c.begin() {
				began++
			}
			time.Sleep(20 * time.Millisecond)
			c.end()
			time.Sleep(20 * time.Millisecond)
		}
		if began != 1 || ended.Load() != 0 {
			t.Errorf("while it flaps: began %d times, ended %d times", began, ended.Load())
		}
		time.Sleep(minQuietPeriod)
		synctest.Wait()
		if ended.Load() != 1 {
			t.Errorf("afterwards: ended %d times", ended.Load())
		}
	})
}

func TestCondition_EndsAfterQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		c := newCondition(func() { ended.Store(true) })
		c.end() // Nothing has failed yet.
		if !c.begin() || c.begin() {
			t.Fatal("it begins once")
		}
		time.Sleep(time.Hour) // Nothing works, and nothing is tried.
		synctest.Wait()
		if ended.Load() {
			t.Fatal("it ended by itself")
		}
		c.end()
		synctest.Wait()
		if !ended.Load() {
			t.Error("after an hour, the first success is not the end")
		}
	})
}

// A failure each minute, each healed at once, is one line per change, but ever
// fewer.
func TestCondition_BacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines atomic.Int32
		c := newCondition(func() { lines.Add(1) })
		for range 120 {
			if c.begin() {
				lines.Add(1)
			}
			c.end()
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if n := lines.Load(); n > 10 {
			t.Errorf("%d lines in two hours", n)
		}
		time.Sleep(relapseFactor * maxQuietPeriod)
		synctest.Wait()
		before := lines.Load()
		c.begin()
		c.end()
		time.Sleep(minQuietPeriod)
		synctest.Wait()
		if lines.Load() != before+1 || c.quietPeriod != minQuietPeriod {
			t.Error("after a long time, it does not begin anew")
		}
		c.stop()
	})
}

// Whoever intervenes sees at once whether that has helped.
func TestCondition_Forget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := 0
		c := newCondition(func() { ended++ })
		for n := range 3 {
			if !c.begin() {
				t.Fatal("it does not begin")
			}
			c.reset()
			c.end()
			c.reset()
			if ended != n+1 {
				t.Fatal("it does not end at once")
			}
		}
	})
}

func TestCondition_Stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCondition(func() { t.Error("it ended") })
		c.begin()
		c.end()
		c.stop()
		time.Sleep(time.Hour)
	})
}
