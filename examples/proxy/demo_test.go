// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestDemo_Passes(t *testing.T) {
	accounts := map[string]string{alice: "102681871", bob: "102681872"}
	if err := demo(slog.New(slog.DiscardHandler), accounts); err != nil {
		t.Fatal(err)
	}
}

func TestDemo_FailsOnWrongFigure(t *testing.T) {
	fake, shortLived := passporttest.NewServer(t, passporttest.Config{}), passporttest.NewServer(t, passporttest.Config{})
	right := stepResult{"a step", stepCounts{requests: 1}, stepCounts{requests: 1}}
	for name, table := range map[string][]stepResult{
		"a step is wrong":              {right, {"another", stepCounts{requests: 1, passed: 1}, stepCounts{requests: 1}}},
		"a request failed":             {{"a step", stepCounts{requests: 1, failures: 1}, stepCounts{requests: 1}}},
		"an issuance is not confirmed": {{"a step", stepCounts{issuances: 1}, stepCounts{issuances: 1}}}, // The fake server issued no token.
	} {
		d := &demonstration{demoServers: &demoServers{fake: fake}, shortLived: &demoServers{fake: shortLived}, table: table}
		if d.printTable(io.Discard) == nil {
			t.Errorf("%s: the demo passes", name)
		}
	}
	if err := (&demonstration{demoServers: &demoServers{fake: fake}, shortLived: &demoServers{fake: shortLived}, table: []stepResult{right}}).printTable(io.Discard); err != nil {
		t.Error(err)
	}
}
