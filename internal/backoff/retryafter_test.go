// SPDX-License-Identifier: Apache-2.0

package backoff_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
)

func TestRetryAfter_SecondsOrDate(t *testing.T) {
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	const noon = "Mon, 23 Nov 2026 12:00:00 GMT"
	tests := map[string]struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		"seconds":                  {"120", "", 2 * time.Minute, true},
		"zero":                     {"0", "", 0, true},
		"leading zeros":            {"007", "", 7 * time.Second, true},
		"spaces around":            {" 5 ", "", 5 * time.Second, true},
		"beyond all durations":     {"99999999999999999999999", "", math.MaxInt64 / time.Second * time.Second, true},
		"one second beyond":        {"9223372037", "", math.MaxInt64 / time.Second * time.Second, true},
		"a date":                   {"Mon, 23 Nov 2026 12:01:30 GMT", "", 90 * time.Second, true},
		"a date in the past":       {"Mon, 23 Nov 2026 11:59:00 GMT", "", 0, true},
		"RFC 850":                  {"Monday, 23-Nov-26 12:01:30 GMT", "", 90 * time.Second, true},
		"asctime":                  {"Mon Nov 23 12:01:30 2026", "", 90 * time.Second, true},
		"the server's clock":       {"Mon, 23 Nov 2026 10:00:30 GMT", "Mon, 23 Nov 2026 10:00:00 GMT", 30 * time.Second, true},
		"the server's clock ahead": {"Tue, 24 Nov 2026 12:00:05 GMT", "Tue, 24 Nov 2026 12:00:00 GMT", 5 * time.Second, true},
		"an invalid Date":          {"Mon, 23 Nov 2026 12:01:30 GMT", "today", 90 * time.Second, true},
		"seconds need no date":     {"120", noon, 2 * time.Minute, true},
		"none":                     {"", "", 0, false},
		"only spaces":              {"  ", "", 0, false},
		"a word":                   {"soon", "", 0, false},
		"negative":                 {"-1", "", 0, false},
		"a sign":                   {"+1", "", 0, false},
		"a fraction":               {"1.5", "", 2 * time.Second, true},
		"nearly as much":           {"44.997", "", 45 * time.Second, true},
		"a fraction of nothing":    {"45.0", "", 45 * time.Second, true},
		"less than a second":       {"0.001", "", time.Second, true},
		"zero with fraction":       {"0.000", "", 0, true},
		"a long fraction":          {"1." + strings.Repeat("0", 1000) + "1", "", 2 * time.Second, true},
		"a fraction beyond":        {"9223372036.5", "", math.MaxInt64 / time.Second * time.Second, true},
		"a point and no fraction":  {"1.", "", 0, false},
		"a fraction alone":         {".5", "", 0, false},
		"two points":               {"1.2.3", "", 0, false},
		"a comma":                  {"1,5", "", 0, false},
		"an exponent":              {"1e3", "", 0, false},
		"a negative fraction":      {"-0.5", "", 0, false},
		"a unit":                   {"10s", "", 0, false},
		"two":                      {"1, 2", "", 0, false},
		"other digits":             {"１", "", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			if tt.value != "" {
				h.Set("Retry-After", tt.value)
			}
			if tt.date != "" {
				h.Set("Date", tt.date)
			}
			if got, ok := backoff.RetryAfter(h, now); got != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v, want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "120", "-1", "1.5", "99999999999999999999", "Mon, 23 Nov 2026 12:01:30 GMT", "Mon Nov 23 12:01:30 2026", "Fri, 31 Dec 9999 23:59:59 GMT",
		" Fri, 01 Dec 2700 00:00:00 GMT",
	} {
		f.Add(value, "", int64(0))
		f.Add(value, "Mon, 23 Nov 2026 12:00:00 GMT", int64(1e18))
	}
	f.Fuzz(func(t *testing.T, value, date string, now int64) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		wait, ok := backoff.RetryAfter(h, time.Unix(0, now))
		if wait < 0 || !ok && wait != 0 {
			t.Errorf("%q: got %v, valid is %v, want no negative wait, and 0 if invalid", value, wait, ok)
		}
		if _, err := http.ParseTime(strings.TrimSpace(value)); ok && err != nil && wait%time.Second != 0 {
			t.Errorf("%q: got %v, want a whole number of seconds", value, wait)
		}
	})
}
