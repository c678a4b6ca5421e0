// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import "testing"

// One configuration replaces another, and a third fails: whoever ends first,
// what is in use is that of a configuration which runs.
func TestStack_NewestThatRuns(t *testing.T) {
	var s activeList[string]
	check := func(when, want string) {
		t.Helper()
		if got, ok := s.newest(); got != want || ok != (want != "") {
			t.Errorf("%s: got %q", when, got)
		}
	}
	check("at the beginning", "")
	s.add("first")
	check("after the start", "first")
	s.add("second")
	check("after a reload", "second")
	s.remove("first")
	check("after the first has ended", "second")
	s.add("third")
	s.remove("third")
	check("after another has failed", "second")
	s.remove("second")
	s.remove("second")
	check("at the end", "")
}
