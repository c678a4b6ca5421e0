// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The faults of this file damage the answer, or its token.

// Truncated ends the connection in the middle of the answer.
func Truncated() Fault {
	return newAnswerFault("truncated", func(w http.ResponseWriter, g grant) {
		body := marshal(g)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		abort()
	})
}

// Oversized answers with a valid token in an answer of size bytes. 0 means
// 64 KiB and one byte.
func Oversized(size int) Fault {
	if size == 0 {
		size = 64<<10 + 1
	}
	return newAnswerFault("oversized", func(w http.ResponseWriter, g grant) {
		g.Padding = "."
		g.Padding += strings.Repeat(".", max(0, size-len(marshal(g))))
		writeJSON(w, http.StatusCreated, g)
	})
}

// A Malformation is a way in which an answer has no valid token. A
// [tokensource.Source] refuses all of them but UndecodableToken, which may be
// an opaque token, and ExpiresNever, since only the platform decides what an
// exp means.
type Malformation string

// The malformations.
const (
	NotJSON             Malformation = "not JSON"
	EmptyToken          Malformation = "empty token"
	TokenWithNewline    Malformation = "token with newline"
	UndecodableToken    Malformation = "three parts that do not decode"
	ExpiredBeforeIssued Malformation = "exp before iat"
	ExpiresNever        Malformation = "exp in the year 292277026596"
)

// Malformations returns all malformations.
func Malformations() []Malformation {
	return []Malformation{
		NotJSON, EmptyToken, TokenWithNewline,
		UndecodableToken, ExpiredBeforeIssued, ExpiresNever,
	}
}

// Malformed answers 201 without a valid token. The resource API accepts no
// token of such an answer.
func Malformed(m Malformation) Fault {
	return newValidRequestFault(string(m), func(s *Server, w http.ResponseWriter, _ *http.Request, request tokenRequest) {
		token := s.malformedToken(m, request)
		if m == NotJSON {
			write(w, http.StatusCreated, "application/json", []byte("token="+token))
			return
		}
		writeJSON(w, http.StatusCreated, request.grant(request.account, token))
	})
}

// malformedToken returns a malformed token, which the token store does not
// have.
func (s *Server) malformedToken(m Malformation, request tokenRequest) string {
	token := s.newToken(request.account)
	claims := s.claims(token, request)
	switch m {
	case EmptyToken:
		return ""
	case TokenWithNewline:
		return s.sign(claims) + "\r\nX-Injected: yes"
	case UndecodableToken:
		return "three.parts.undecodable"
	case ExpiredBeforeIssued:
		// A Date has no fraction: exp must not lie after it.
		claims["exp"], claims["iat"] = numericDate(token.Issued.Truncate(time.Second)), claims["exp"]
	case ExpiresNever:
		claims["exp"] = json.Number("9223372036854775807")
	case NotJSON:
	}
	return s.sign(claims)
}
