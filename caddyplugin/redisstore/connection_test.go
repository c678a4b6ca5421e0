// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/caddyplugin/redisstore"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

// shared returns what stores with the same options have in common.
func shared(module any) fleet.Store {
	store, _ := module.(*redisstore.Store)
	return store.Store
}

// isClosed reports whether a store, whose server does not answer, was closed.
func isClosed(t *testing.T, module any) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := shared(module).Claim(ctx, "p1:x", fleet.Ask{Owner: "a"})
	if err == nil {
		t.Fatal("a server that does not answer gave an answer")
	}
	return strings.Contains(err.Error(), "closed")
}

// The page has a table of all options that the parser knows, and of no other.
func TestOptions_ArePageTable(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := func(pattern, text string) (all []string) {
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, found[1])
		}
		slices.Sort(all)
		return all
	}
	_, section, _ := strings.Cut(read("../../docs/caddy.md"), "\n### `store redis`\n")
	section, _, _ = strings.Cut(section, "\n##")
	parsed := first(`"([a-z_]+)":`, read("caddyfile.go"))
	if shown := first("(?m)^\\| `([a-z_]+)` \\|", section); len(parsed) < 10 || !slices.Equal(parsed, shown) {
		t.Errorf("the parser has %q, the page has %q", parsed, shown)
	}
	grammar := first(`(?m)^//\t    ([a-z_]+)`, read("caddyfile.go"))
	if !slices.Equal(parsed, grammar) {
		t.Errorf("the parser has %q, the grammar has %q", parsed, grammar)
	}
}
