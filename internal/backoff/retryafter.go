// SPDX-License-Identifier: Apache-2.0

package backoff

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// RetryAfter returns the duration in the Retry-After field of h, and whether h
// has a valid one. The field is a number of seconds or a date (RFC 9110,
// section 10.2.3). Some servers send a fraction, such as "44.997". RetryAfter
// rounds it up to whole seconds, because a server refuses a request that comes
// too early. It subtracts the answer's Date from a date, so that a wrong local
// clock has no effect, and now if the answer has no Date. A date in the past
// gives 0.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if seconds, ok := deltaSeconds(value); ok {
		return seconds, true
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(until.Sub(now), 0), true
}

// deltaSeconds parses 1*DIGIT, with or without a fraction. A number that is too
// large for a duration gives the largest whole number of seconds: "never" must
// not become "now".
func deltaSeconds(s string) (time.Duration, bool) {
	const maxSeconds = int64(math.MaxInt64 / time.Second)
	whole, fraction, pointed := strings.Cut(s, ".")
	if whole == "" || pointed && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(whole) {
		n = min(n*10+int64(c-'0'), maxSeconds)
	}
	if strings.Trim(fraction, "0") != "" {
		n = min(n+1, maxSeconds)
	}
	return time.Duration(n) * time.Second, true
}
