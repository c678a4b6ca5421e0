package backoff

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// RetryAfter returns what the Retry-After field of h asks for, and whether
// there is one that can be read (RFC 9110, section 10.2.3): a number of
// seconds, or a date. Some servers write a fraction, as in "44.997"; it is
// rounded up to whole seconds, since a request that comes too early is refused
// again. A date is compared with the server's own Date where the answer has one,
// so that a wrong local clock makes no difference, and with now where it has
// none; a date in the past is 0.
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

// deltaSeconds reads 1*DIGIT, with a fraction or without. A number too large for
// a duration is the largest duration: "never" must not become "now".
func deltaSeconds(s string) (time.Duration, bool) {
	const most = int64(math.MaxInt64 / time.Second)
	whole, fraction, pointed := strings.Cut(s, ".")
	if whole == "" || pointed && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(whole) {
		n = min(n*10+int64(c-'0'), most)
	}
	if strings.Trim(fraction, "0") != "" {
		n = min(n+1, most)
	}
	return time.Duration(n) * time.Second, true
}
