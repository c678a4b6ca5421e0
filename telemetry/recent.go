package telemetry

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// remembered is how many issuances are remembered. By default, no more than
// 1,040 can be waited for at once.
const remembered = 2048

// recent are the spans of the last issuances, by number. The zero recent has
// none. It is safe for concurrent use.
type recent struct {
	slots [remembered]atomic.Pointer[issuance]
}

// An issuance is what is remembered of one.
type issuance struct {
	number uint64
	span   trace.SpanContext
}

// put remembers an issuance, in the place of one long ago.
func (r *recent) put(number uint64, span trace.SpanContext) {
	if span.IsValid() {
		r.slots[number%remembered].Store(&issuance{number, span})
	}
}

// link returns a link to an issuance, or none if it is not remembered.
func (r *recent) link(number uint64) []trace.Link {
	if i := r.slots[number%remembered].Load(); i != nil && i.number == number {
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
