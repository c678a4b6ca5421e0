// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// maxIssuances is how many issuances the hooks of a Source remember. By
// default, callers can wait for at most 1,040 issuances at once.
const maxIssuances = 2048

// issuanceSpans are the spans of the last issuances, by number. The zero value
// has none. Its methods may be called concurrently.
type issuanceSpans struct {
	slots [maxIssuances]atomic.Pointer[issuance]
}

// An issuance is the number and the span of an issuance.
type issuance struct {
	number uint64
	span   trace.SpanContext
}

// add adds an issuance, and drops the one that is maxIssuances older.
func (r *issuanceSpans) add(number uint64, span trace.SpanContext) {
	if span.IsValid() {
		r.slots[number%maxIssuances].Store(&issuance{number, span})
	}
}

// link returns a link to an issuance, or none if its span is not known.
func (r *issuanceSpans) link(number uint64) []trace.Link {
	if i := r.slots[number%maxIssuances].Load(); i != nil && i.number == number {
		return linkTo(i.span)
	}
	return nil
}

// linkTo returns a link to a span, or none if there is no span.
func linkTo(span trace.SpanContext) []trace.Link {
	if !span.IsValid() {
		return nil
	}
	return []trace.Link{{SpanContext: span}}
}
