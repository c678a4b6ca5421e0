package transport

import "strings"

// bearerError returns the error of the Bearer challenge among the values of
// WWW-Authenticate, or "" (RFC 9110, section 11.6.1; RFC 6750, section 3). If
// there are several, one that is not invalid_token counts: nothing is replayed
// on a contradiction.
//
// Servers do not keep to the grammar. Their parameters are parted by commas,
// spaces or semicolons, and a comma, a tab or a colon follows the scheme.
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
	afterScheme bool // Nothing has followed the scheme yet.
}

const (
	challengeWhitespace = " \t"
	challengeSeparators = " \t,;:"
)

// next goes to the next parameter. It returns false if there is none.
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
		case word == "": // A quoted string, or an =, that belongs to nothing.
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

// readValue reads a quoted string, without its quotes and escapes, or what
// stands there without quotes. A quoted string that breaks off ends with the
// field.
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
