package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

func TestTheDemoPassesAsItStands(t *testing.T) {
	accounts := map[string]string{alice: "102681871", bob: "102681872"}
	if err := demo(slog.New(slog.DiscardHandler), accounts); err != nil {
		t.Fatal(err)
	}
}

func TestTheDemoFailsIfAFigureIsNotAsItMustBe(t *testing.T) {
	double, brief := passporttest.NewServer(t, passporttest.Config{}), passporttest.NewServer(t, passporttest.Config{})
	right := row{"a step", tallies{requests: 1}, tallies{requests: 1}}
	for name, table := range map[string][]row{
		"a step is wrong":              {right, {"another", tallies{requests: 1, passed: 1}, tallies{requests: 1}}},
		"a request failed":             {{"a step", tallies{requests: 1, failures: 1}, tallies{requests: 1}}},
		"an issuance nobody asked for": {{"a step", tallies{issuances: 1}, tallies{issuances: 1}}}, // The double has made none.
	} {
		w := &walk{stage: &stage{double: double}, brief: &stage{double: brief}, table: table}
		if w.print(io.Discard) == nil {
			t.Errorf("%s: the demo passes", name)
		}
	}
	if err := (&walk{stage: &stage{double: double}, brief: &stage{double: brief}, table: []row{right}}).print(io.Discard); err != nil {
		t.Error(err)
	}
}
