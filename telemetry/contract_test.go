// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A signal is a span or a metric, with its values in all scenarios.
type signal struct {
	kind, unit     string
	parents, links map[string]bool
	values         map[string]map[string]bool // by attribute
	failed         bool
}

// contract reads the golden file.
func contract(t *testing.T) (spans, metrics map[string]*signal) {
	t.Helper()
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	spans, metrics = map[string]*signal{}, map[string]*signal{}
	for scene := range strings.SplitSeq(string(text), "== ") {
		names := map[string]string{"root": "none", "-": ""} // by number
		lines := strings.Split(scene, "\n")[1:]
		for _, line := range lines {
			if number, rest, ok := strings.Cut(line, " "); ok && strings.HasPrefix(line, "#") {
				name, _, _ := strings.Cut(rest, " | ")
				names[number] = name
				if !strings.HasPrefix(name, "pismo.") {
					names[number] = "the caller's"
				}
			}
		}
		for _, line := range lines {
			f := strings.Split(line, " | ")
			switch {
			case strings.HasPrefix(line, "#"):
				_, name, _ := strings.Cut(f[0], " ")
				s := signalOf(spans, name)
				s.kind = strings.ToUpper(f[1])
				s.parents[names[f[2]]] = true
				for link := range strings.FieldsSeq(f[3]) {
					s.links[names[link]] = true
				}
				s.failed = s.failed || strings.HasPrefix(f[4], "Error")
				s.addAttributes(f[5])
			case line != "":
				m := signalOf(metrics, f[0])
				m.kind, m.unit = f[1], f[2]
				m.addAttributes(f[3])
			}
		}
	}
	for name := range spans {
		if !strings.HasPrefix(name, "pismo.") {
			delete(spans, name)
		}
	}
	return spans, metrics
}

func signalOf(all map[string]*signal, name string) *signal {
	if all[name] == nil {
		all[name] = &signal{parents: map[string]bool{}, links: map[string]bool{}, values: map[string]map[string]bool{}}
	}
	return all[name]
}

func (e *signal) addAttributes(attributes string) {
	if attributes == "-" {
		return
	}
	for a := range strings.SplitSeq(attributes, ", ") {
		key, value, _ := strings.Cut(a, "=")
		if e.values[key] == nil {
			e.values[key] = map[string]bool{}
		}
		e.values[key][value] = true
	}
}

// enumerated matches the attributes whose values the table lists.
var enumerated = regexp.MustCompile(`reason|origin|outcome|verdict|extent`)

func (e *signal) attributes() string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(e.values)) {
		text := "`" + key + "`"
		if enumerated.MatchString(key) {
			text += " " + list(e.values[key])
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func list(set map[string]bool) string {
	delete(set, "")
	return strings.Join(slices.Sorted(maps.Keys(set)), ", ")
}

// table returns the contract in the format of the page.
func table(t *testing.T) string {
	spans, metrics := contract(t)
	var b strings.Builder
	b.WriteString("| span | kind | parent | links to | attributes |\n|---|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(spans)) {
		s := spans[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, s.kind, list(s.parents), list(s.links), s.attributes())
	}
	b.WriteString("\n| metric | instrument | unit | attributes |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, m.unit, m.attributes())
	}
	return b.String()
}

const (
	page       = "../docs/telemetry.md"
	tableBegin = "<!-- made from telemetry/testdata/golden.txt: go test ./telemetry -update -->\n"
	tableEnd   = "<!-- end -->"
)

func TestContract_TableMatchesGoldenFile(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	got, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("the page has no markers for the table")
	}
	if claim := fmt.Sprintf("each of %d situations", len(scenarios)); !strings.Contains(before, claim) {
		t.Errorf("the page does not say %q", claim)
	}
	want := table(t)
	if *update {
		if err := os.WriteFile(page, []byte(before+tableBegin+want+tableEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	compare(t, want, got)
}

func TestContract_DocMatchesGoldenFile(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, word := range regexp.MustCompile(`[a-z]+[a-z_.]*[a-z]`).FindAllString(string(text), -1) {
		words[word] = true
	}
	golden := map[string]bool{}
	spans, metrics := contract(t)
	for _, all := range []map[string]*signal{spans, metrics} {
		for name, e := range all {
			golden[name] = true
			for key, values := range e.values {
				golden[key] = true
				if enumerated.MatchString(key) {
					maps.Copy(golden, values)
				}
			}
		}
	}
	for name := range golden {
		if !words[name] {
			t.Errorf("doc.go does not name %s", name)
		}
	}
	for word := range words {
		if strings.HasPrefix(word, "pismo.") && !golden[word] {
			t.Errorf("doc.go names %s, which the golden file does not have", word)
		}
	}
}
