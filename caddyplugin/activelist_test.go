// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import "testing"

// A second configuration replaces the first, and a third fails. In any order of
// their ends, the newest element belongs to a running configuration.
func TestActiveList_NewestRuns(t *testing.T) {
	var s activeList[string]
	check := func(when, want string) {
		t.Helper()
		if got, ok := s.newest(); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, want %q", when, got, want)
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
