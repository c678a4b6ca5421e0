// SPDX-License-Identifier: Apache-2.0

package caddyplugin_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The page has a table of the options of each directive. It has all options
// that the parser knows, and no other option.
func TestOptions_ArePageTables(t *testing.T) {
	text, err := os.ReadFile("../docs/caddy.md")
	if err != nil {
		t.Fatal(err)
	}
	parsed := parsedOptions(t)
	auth := parsed["Auth"]
	proxy := slices.Concat(parsed["proxyOptions"], auth)
	proxy = slices.DeleteFunc(proxy, func(option string) bool {
		return option == "inject" || option == "transport" // pismo_proxy refuses inject, and transport is an option of reverse_proxy.
	})
	for heading, options := range map[string][]string{
		"### A client\n":          slices.Concat(parsed["Client"], parsed["transportOptions"]),
		"### `openid`\n":          parsed["OpenID"],
		"### `pismo_proxy`\n":     proxy,
		"### `pismo_auth`\n":      auth,
		"### `transport pismo`\n": parsed["Transport"],
		"### `format pismo`\n":    parsed["LogEncoder"],
	} {
		_, section, ok := strings.Cut(string(text), heading)
		if !ok {
			t.Errorf("the page has no heading %q", heading)
			continue
		}
		section, _, _ = strings.Cut(section, "\n##")
		wantSame(t, heading, options, optionsOn(section))
	}
}

// optionsOn returns the options in a section. An option begins a row of a
// table, or is in the list of options of transport http.
func optionsOn(section string) (options []string) {
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		options = append(options, row[1])
	}
	if _, list, ok := strings.Cut(section, "for token requests:\n"); ok {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(list, -1) {
			options = append(options, name[1])
		}
	}
	return options
}

func wantSame(t *testing.T, heading string, parsed, shown []string) {
	t.Helper()
	if len(parsed) == 0 || len(shown) == 0 {
		t.Errorf("%q: the parser has %d options, the page %d", heading, len(parsed), len(shown))
	}
	for _, option := range parsed {
		if n := len(slices.DeleteFunc(slices.Clone(shown), func(s string) bool { return s != option })); n != 1 {
			t.Errorf("%q has the option %s %d times, want once", heading, option, n)
		}
	}
	for _, option := range shown {
		if !slices.Contains(parsed, option) {
			t.Errorf("%q has the option %s, which the parser does not know", heading, option)
		}
	}
}

// parsedOptions returns the options that the parsers know, by the type with the
// method unmarshalOption. The options are the cases there, or the keys of the
// map.
func parsedOptions(t *testing.T) map[string][]string {
	t.Helper()
	options := map[string]map[string]bool{}
	add := func(owner string, e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if options[owner] == nil {
				options[owner] = map[string]bool{}
			}
			options[owner][name] = true
		}
	}
	for _, typ := range packageDoc(t).Types {
		for _, method := range typ.Methods {
			if method.Name != "unmarshalOption" {
				continue
			}
			ast.Inspect(method.Decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CaseClause:
					for _, e := range n.List {
						add(typ.Name, e)
					}
				case *ast.KeyValueExpr:
					add(typ.Name, n.Key)
				}
				return true
			})
		}
	}
	for _, v := range packageDoc(t).Vars {
		if slices.Contains(v.Names, "transportOptions") {
			ast.Inspect(v.Decl, func(n ast.Node) bool {
				if list, ok := n.(*ast.CompositeLit); ok {
					for _, e := range list.Elts {
						add("transportOptions", e)
					}
				}
				return true
			})
		}
	}
	sorted := map[string][]string{}
	for owner, names := range options {
		sorted[owner] = slices.Sorted(maps.Keys(names))
	}
	return sorted
}
