// SPDX-License-Identifier: Apache-2.0

package recurring

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEvent_BeginsAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Event
		for range 2 {
			if !e.Begin() {
				t.Error("the event does not begin")
			}
			for range 60 { // The event continues for an hour.
				time.Sleep(time.Minute)
				if e.Begin() {
					t.Fatal("the event begins anew while it continues")
				}
			}
			time.Sleep(quietPeriod)
		}
	})
}
