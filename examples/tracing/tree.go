// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A tree is a span with its children.
type tree struct {
	span     sdktrace.ReadOnlySpan
	children []*tree
	links    []string
}

// treesOf returns the traces of spans, sorted by their number of links and then
// by their start.
func treesOf(spans []sdktrace.ReadOnlySpan) []*tree {
	nodes := map[trace.SpanID]*tree{}
	for _, span := range spans {
		nodes[span.SpanContext().SpanID()] = &tree{span: span}
	}
	var roots []*tree
	for _, node := range nodes {
		if parent, ok := nodes[node.span.Parent().SpanID()]; ok {
			parent.children = append(parent.children, node)
		} else {
			roots = append(roots, node)
		}
	}
	for _, node := range nodes {
		slices.SortFunc(node.children, byStart)
	}
	slices.SortFunc(roots, func(a, b *tree) int {
		return cmp.Or(cmp.Compare(a.countLinks(), b.countLinks()), byStart(a, b))
	})
	numbers := map[trace.TraceID]int{}
	for i, root := range roots {
		numbers[root.span.SpanContext().TraceID()] = i + 1
	}
	for _, node := range nodes {
		for _, link := range node.span.Links() {
			name := "a span that is missing"
			if to, ok := nodes[link.SpanContext.SpanID()]; ok {
				name = fmt.Sprintf("%s of trace %d", to.span.Name(), numbers[link.SpanContext.TraceID()])
			}
			node.links = append(node.links, name)
		}
	}
	return roots
}

func byStart(a, b *tree) int { return a.span.StartTime().Compare(b.span.StartTime()) }

func (t *tree) countLinks() int {
	n := len(t.span.Links())
	for _, child := range t.children {
		n += child.countLinks()
	}
	return n
}

// render returns the traces as text, with a line for each span.
func render(traces []*tree, line func(*tree) string) string {
	var b strings.Builder
	for i, t := range traces {
		fmt.Fprintf(&b, "trace %d: %s\n", i+1, line(t))
		t.renderChildren(&b, "", line)
	}
	return b.String()
}

func (t *tree) renderChildren(b *strings.Builder, indent string, line func(*tree) string) {
	for i, child := range t.children {
		branch, below := "├─ ", "│  "
		if i == len(t.children)-1 {
			branch, below = "└─ ", "   "
		}
		b.WriteString(indent + branch + line(child) + "\n")
		child.renderChildren(b, indent+below, line)
	}
}

// spanAttributes are the printed attributes, with their printed names.
var spanAttributes = []struct{ key, name string }{
	{"http.response.status_code", " → "},
	{"http.request.resend_count", " resend_count="},
	{"pismo.token.issue.reason", " reason="},
	{"pismo.token.issue.attempts", " attempts="},
	{"pismo.token.acquire.origin", " origin="},
	{"pismo.token.rejection.outcome", " outcome="},
}

// shape returns the parts of a span that do not vary between runs.
func shape(t *tree) string {
	text := t.span.Name()
	if t.span.SpanKind() == trace.SpanKindServer {
		return text // The last child shows the status.
	}
	for _, s := range spanAttributes {
		text += t.attribute(s.key, s.name)
	}
	for _, link := range t.links {
		text += " ⇢ " + link
	}
	return text
}

// detailed returns the shape with the parts that vary between runs.
func detailed(t *tree) string {
	took := t.span.EndTime().Sub(t.span.StartTime()).Round(time.Millisecond / 10)
	return fmt.Sprintf("%s%s  (%s)", shape(t), t.attribute("pismo.token.serial", ", token "), took)
}

// attribute returns an attribute with its printed name, or "" if the span has
// none.
func (t *tree) attribute(key, name string) string {
	for _, a := range t.span.Attributes() {
		if string(a.Key) == key {
			return name + a.Value.String()
		}
	}
	return ""
}
