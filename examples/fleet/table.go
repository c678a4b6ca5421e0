// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

// figures are the numbers in a line of the table.
type figures struct {
	issued  both[int] // tokens
	refused both[int] // answers of 401 because a newer token had ended the sent one
	failed  both[int] // requests whose caller got an error or a 401

	// storeMissed counts the operations of the store that failed or were left
	// out.
	storeMissed int
}

// since returns the difference to earlier figures.
func (f figures) since(before figures) figures {
	minus := func(a, b both[int]) both[int] { return both[int]{a.With - b.With, a.Without - b.Without} }
	return figures{
		issued:      minus(f.issued, before.issued),
		refused:     minus(f.refused, before.refused),
		failed:      minus(f.failed, before.failed),
		storeMissed: f.storeMissed - before.storeMissed,
	}
}

// The widths of the columns.
const (
	firstColumn = 46
	column      = 9
)

// printHeader prints the header of a table. The columns come in pairs: with the
// store, and without.
func printHeader(out io.Writer, first string) {
	pair := 2 * column
	_, _ = fmt.Fprintf(out, "\n%-*s%*s%*s%*s\n", firstColumn, "", pair, "tokens issued", pair, "tokens refused", pair, "requests failed")
	_, _ = fmt.Fprintf(out, "%-*s", firstColumn, first)
	for range 3 {
		_, _ = fmt.Fprintf(out, "%*s%*s", column, "with", column, "without")
	}
	_, _ = fmt.Fprintln(out)
}

// printLine prints a line of a table.
func printLine(out io.Writer, first string, f figures, last string) {
	_, _ = fmt.Fprintf(out, "%-*s", firstColumn, first)
	for _, pair := range []both[int]{f.issued, f.refused, f.failed} {
		_, _ = fmt.Fprintf(out, "%*d%*d", column, pair.With, column, pair.Without)
	}
	if last != "" {
		_, _ = fmt.Fprintf(out, "   %s", last)
	}
	_, _ = fmt.Fprintln(out)
}

// An amount is an expected number.
type amount struct {
	n      int
	orMore bool
}

func exactly(n int) amount { return amount{n, false} }
func atLeast(n int) amount { return amount{n, true} }

func (a amount) allows(n int) bool { return n == a.n || a.orMore && n > a.n }

func (a amount) String() string {
	if a.orMore {
		return fmt.Sprintf("%d or more", a.n)
	}
	return fmt.Sprint(a.n)
}

// expected are the expected figures of a step. With the store, no token is
// refused and no request fails.
type expected struct {
	issued          both[amount]
	refused, failed amount // without the store
}

// fault returns what is wrong, or "".
func (e expected) fault(f figures) string {
	for _, check := range []struct {
		what string
		got  int
		want amount
	}{
		{"tokens issued with the store", f.issued.With, e.issued.With},
		{"tokens issued without", f.issued.Without, e.issued.Without},
		{"tokens refused with the store", f.refused.With, exactly(0)},
		{"tokens refused without", f.refused.Without, e.refused},
		{"requests failed with the store", f.failed.With, exactly(0)},
		{"requests failed without", f.failed.Without, e.failed},
	} {
		if !check.want.allows(check.got) {
			return fmt.Sprintf("WRONG: %s: %d, want %v", check.what, check.got, check.want)
		}
	}
	return ""
}
