// SPDX-License-Identifier: Apache-2.0

package transport

import "strings"

// bearerError returns the error of the Bearer challenge among the values of
// WWW-Authenticate, or "" (RFC 9110, section 11.6.1; RFC 6750, section 3). If
// several challenges have an error, an error other than invalid_token wins: a
// contradiction must not lead to a replay.
//
// Some servers violate the grammar. They separate parameters by commas, spaces
// or semicolons, and put a comma, a tab or a colon after the scheme.
func bearerError(challenges []string) string {
	found := ""
	for _, value := range challenges {
		s := challengeScanner{rest: value}
		for s.next() {
			if s.name == "error" && s.scheme == "bearer" && (found == "" || strings.EqualFold(found, "invalid_token")) {
				found = strings.TrimSpace(s.value)
			}
		}
	}
	return found
}

// A challengeScanner reads the parameters of the challenges in a field.
type challengeScanner struct {
	rest        string
	scheme      string // of the challenge, in lower case
	name        string // of the parameter, in lower case
	value       string
	afterScheme bool // The scheme has no parameter yet.
}

const (
	challengeWhitespace = " \t"
	challengeSeparators = " \t,;:"
)

// next reads the next parameter. It returns false if there is none.
func (s *challengeScanner) next() bool {
	for {
		s.rest = strings.TrimLeft(s.rest, challengeSeparators)
		if s.rest == "" {
			return false
		}
		word := strings.ToLower(s.until(challengeSeparators + `="`))
		after := strings.TrimLeft(s.rest, challengeWhitespace)
		switch {
		case strings.HasPrefix(after, "=") && word != "":
			s.rest = strings.TrimLeft(after[1:], challengeWhitespace)
			s.name, s.value, s.afterScheme = word, s.readValue(), false
			return true
		case word == "": // A stray quoted string or a stray =.
			s.rest = strings.TrimPrefix(s.rest, "=")
			s.readValue()
		case s.afterScheme && word != "bearer": // As in Negotiate YII: a token68.
			s.afterScheme = false
		default:
			s.scheme, s.afterScheme = word, true
		}
	}
}

// until reads up to the first of the given characters.
func (s *challengeScanner) until(ends string) string {
	i := strings.IndexAny(s.rest, ends)
	if i < 0 {
		i = len(s.rest)
	}
	word := s.rest[:i]
	s.rest = s.rest[i:]
	return word
}

// readValue reads a quoted string, without its quotes and escapes, or a value
// without quotes. An unterminated quoted string ends with the field.
func (s *challengeScanner) readValue() string {
	if !strings.HasPrefix(s.rest, `"`) {
		return strings.Trim(s.until(" \t,;"), "'")
	}
	var value strings.Builder
	escaped := false
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case escaped:
			value.WriteByte(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			s.rest = s.rest[i+1:]
			return value.String()
		default:
			value.WriteByte(c)
		}
	}
	s.rest = ""
	return value.String()
}
