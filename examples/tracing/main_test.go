// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"
)

func TestRun_PrintsExpectedTraces(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A stampede", "A revocation", "⇢ pismo.token.issue of trace 1", "resend_count=1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestRun_FailsOnOtherTraces(t *testing.T) {
	for i := range scenarios {
		want := scenarios[i].want
		scenarios[i].want = strings.Replace(want, "attempts=1", "attempts=2", 1)
		if err := run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), scenarios[i].title) {
			t.Errorf("%s: got error %v, want its title", scenarios[i].title, err)
		}
		scenarios[i].want = want
	}
}
