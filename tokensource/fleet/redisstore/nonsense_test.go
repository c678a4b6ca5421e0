// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

func fixed(answer string) func([]byte) []byte { return func([]byte) []byte { return []byte(answer) } }

// A server, or somebody between, answers nonsense. The call fails, with an
// error that says so, and the next calls work.
func TestStore_NonsenseIsAnError(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"an integer":      {fixed(":1\r\n"), "does not have the form"},
		"a short array":   {fixed("*1\r\n:1\r\n"), "does not have the form"},
		"null":            {fixed("_\r\n"), "does not have the form"},
		"wrong elements":  {func(b []byte) []byte { return bytes.Replace(b, []byte(":0\r\n$"), []byte("+x\r\n$"), 1) }, "does not have the form"},
		"an error":        {fixed("-ERR Something about 10.0.0.1\r\n"), "the server answers ERR"},
		"an error, lower": {fixed("-unknown 10.0.0.1\r\n"), "the server answers with an error"},
		"loading":         {fixed("-LOADING Redis is loading the dataset in memory\r\n"), "the server answers LOADING"},
		"moved":           {fixed("-MOVED 3999 127.0.0.1:6381\r\n"), "the server answers MOVED"},
		"half an answer":  {func(b []byte) []byte { return b[:len(b)/2] }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := tamper(t, s)
			store := newStore(t, redisstore.Config{Addr: []string{p.addr}})
			claim := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
				defer cancel()
				_, err := store.Claim(ctx, "p1:"+name, fleet.Ask{Owner: "a", Lease: time.Minute})
				return err
			}
			awaitNil(t, claim)
			p.answer(tt.change)
			if err := claim(); err == nil || !strings.Contains(tokensource.SafeText(err), tt.want) || strings.Contains(tokensource.SafeText(err), "0.0.") {
				t.Errorf("got error %v (%q), want %q", err, tokensource.SafeText(err), tt.want)
			}
			p.answer(nil)
			awaitNil(t, claim)
		})
	}
}

// awaitNil calls until there is no error.
func awaitNil(t *testing.T, call func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if err = call(); err == nil {
			return
		}
	}
	t.Fatal("the store does not recover:", err)
}

// Answers that nobody asked for must not end the process, nor reach another
// call.
func TestStore_StrayAnswersHarmNobody(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	p := tamper(t, s)
	store := newStore(t, redisstore.Config{Addr: []string{p.addr}})
	for n := range 10 {
		name := "p1:" + strconv.Itoa(n)
		if _, err := store.Publish(t.Context(), name, fleet.Publication{Owner: "a", Value: []byte(name), TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	p.answer(func(answer []byte) []byte {
		return append(slices.Clone(answer), "*3\r\n$5\r\nstray\r\n:600000\r\n:0\r\n"...)
	})
	for range 20 {
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
				defer cancel()
				name := "p1:" + strconv.Itoa(n)
				claim, err := store.Claim(ctx, name, fleet.Ask{Owner: "b"})
				if got := string(claim.Value); err == nil && got != name {
					t.Errorf("a claim of %s got %q", name, got)
				}
			})
		}
		all.Wait()
	}
	p.answer(nil)
	for n := range 10 {
		name := "p1:" + strconv.Itoa(n)
		awaitNil(t, func() error {
			claim, err := store.Claim(t.Context(), name, fleet.Ask{Owner: "c"})
			if err == nil && string(claim.Value) != name {
				t.Errorf("a claim of %s got %q", name, claim.Value)
			}
			return err
		})
	}
}
