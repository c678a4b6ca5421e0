// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The texts that replace redacted values.
const (
	ellipsis     = "…"
	redactedText = "REDACTED"
)

// A redactor removes accounts from log entries.
type redactor struct{ headers map[string]bool }

// plainHeaders are the header fields that never contain an account. URLs in
// them are redacted.
var plainHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Age", "Allow", "Alt-Svc",
	"Cache-Control", "Connection", "Content-Encoding", "Content-Language", "Content-Length", "Content-Location", "Content-Type",
	"Date", "Early-Data", "Expect", "Host", "Incremental", "Keep-Alive", "Last-Modified", "Link", "Location",
	"Origin", "Referer", "Retry-After", "Server", "Strict-Transport-Security", "Te", "Trailer", "Transfer-Encoding",
	"Traceparent", "Upgrade", "User-Agent", "Vary", "Via", "Www-Authenticate", "X-Cid", "X-Content-Type-Options",
	"X-Correlation-Id", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id",
}

// urlHeaders are the plainHeaders whose value is a URL.
var urlHeaders = []string{"Content-Location", "Location", "Origin", "Referer"}

// identifiers are the names of fields that identify a request or a trace.
var identifiers = []string{"correlation_id", "err_id", "traceID", "spanID", "Traceparent", "X-Cid", "X-Correlation-Id", "X-Request-Id"}

// newRedactor returns a redactor that also shows the given header fields.
func newRedactor(keep []string) redactor {
	r := redactor{headers: map[string]bool{}}
	for _, field := range slices.Concat(plainHeaders, keep) {
		r.headers[http.CanonicalHeaderKey(field)] = true
	}
	return r
}

// field returns a field of an entry without accounts.
func (r redactor) field(name string, value any) zapcore.Field {
	return asField(name, r.value(name, value))
}

// value returns the value of a field, or of an element of it, without accounts.
func (r redactor) value(name string, value any) any {
	switch value := value.(type) {
	case string:
		return r.namedText(name, value)
	case nil, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64,
		time.Time, time.Duration, json.Number:
		return value
	case []byte:
		return redactedText
	case []any:
		elements := make([]any, len(value))
		for i, element := range value {
			elements[i] = r.value(name, element)
		}
		return elements
	case map[string]any:
		return r.object(name, value)
	default:
		return r.reflected(name, value)
	}
}

// object returns an object without accounts.
func (r redactor) object(name string, object map[string]any) map[string]any {
	fields := make(map[string]any, len(object))
	headers := name == "headers" || strings.HasSuffix(name, "_headers")
	for field, value := range object {
		if headers && !r.headers[http.CanonicalHeaderKey(field)] {
			fields[r.text(field)] = redactedText
			continue
		}
		fields[r.text(field)] = r.value(field, value)
	}
	return fields
}

// reflected returns a value without accounts, for logging as JSON.
func (r redactor) reflected(name string, value any) any {
	raw, err := json.Marshal(value)
	if err != nil {
		return r.namedText(name, fmt.Sprint(value))
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return redactedText // Not reached.
	}
	return r.value(name, plain)
}

// namedText returns the text of a field of that name without accounts.
func (r redactor) namedText(name, text string) string {
	switch {
	case text == "":
		return text
	case name == "user_id", name == "client_common_name":
		return redactedText
	case name == "proto":
		return text
	case slices.Contains(identifiers, name) && strings.ContainsFunc(text, unicode.IsLetter):
		return text
	case name == "uri", strings.HasSuffix(name, "_uri"), slices.Contains(urlHeaders, name):
		return longNumber.ReplaceAllString(withoutIDs(text), ellipsis)
	case r.headers[name] && name != "Link":
		return longNumber.ReplaceAllString(text, ellipsis)
	default:
		return r.text(text)
	}
}

var (
	// reference matches the possible start of a URL or a path.
	reference = regexp.MustCompile(`(?:[A-Za-z][A-Za-z0-9+.-]*:/)?/[^\s"'<>]*`)
	// version matches a segment of a path that is not an id.
	version = regexp.MustCompile(`^(?:v[0-9]{1,3}|[0-9]\.[0-9])$`)
	// longNumber matches a number that may be an id in any text.
	longNumber = regexp.MustCompile(`[0-9]{6,}`)
)

// text returns a text without accounts.
func (r redactor) text(text string) string {
	return longNumber.ReplaceAllString(reference.ReplaceAllStringFunc(text, withoutIDs), ellipsis)
}

// withoutIDs returns a URL or a path without possible ids.
func withoutIDs(reference string) string {
	end := strings.IndexAny(reference, "?#")
	rest := ""
	if end >= 0 {
		reference, rest = reference[:end], reference[end:end+1]+ellipsis
	}
	prefix := ""
	if scheme, after, ok := strings.Cut(reference, "://"); ok {
		host, path, found := strings.Cut(after, "/")
		prefix, reference = scheme+"://"+host, path
		if found {
			prefix += "/"
		}
	}
	segments := strings.Split(reference, "/")
	for i, segment := range segments {
		if mayBeID(segment) {
			segments[i] = ellipsis
		}
	}
	return prefix + strings.Join(segments, "/") + rest
}

// mayBeID reports whether a segment of a path may be an id or contain an id.
func mayBeID(segment string) bool {
	decoded, err := url.PathUnescape(segment)
	return err != nil || strings.ContainsFunc(decoded, unicode.IsNumber) && !version.MatchString(decoded)
}

// asField returns a field for a value of [redactor.value].
func asField(name string, value any) zapcore.Field {
	switch value := value.(type) {
	case map[string]any:
		return zap.Object(name, zapcore.ObjectMarshalerFunc(func(encoder zapcore.ObjectEncoder) error {
			for _, name := range slices.Sorted(maps.Keys(value)) {
				asField(name, value[name]).AddTo(encoder)
			}
			return nil
		}))
	case []any:
		return zap.Array(name, zapcore.ArrayMarshalerFunc(func(encoder zapcore.ArrayEncoder) error {
			for _, element := range value {
				if text, ok := element.(string); ok {
					encoder.AppendString(text)
				} else if err := encoder.AppendReflected(element); err != nil {
					return err
				}
			}
			return nil
		}))
	default:
		return zap.Any(name, value)
	}
}
