// SPDX-License-Identifier: Apache-2.0

package passporttest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"time"
)

// The faults of this file are unusual answers, as servers and the gateways in
// front of them write them. They must not break a client. A client rejects
// SameToken, and a WrongDate after the token's expiry. With [Server.FailAlways]
// the token endpoint always answers so.

// SlowHeaders answers as usual, after d.
func SlowHeaders(d time.Duration) Fault {
	return Fault{name: "slow headers", serve: func(s *Server, w http.ResponseWriter, r *http.Request, request tokenRequest) {
		pause(r.Context(), d)
		s.answer(w, request)
	}}
}

// ByteOrderMark writes a byte order mark before the answer.
func ByteOrderMark() Fault {
	return newAnswerFault("byte order mark", func(w http.ResponseWriter, g grant) {
		write(w, http.StatusCreated, "application/json", append([]byte("\ufeff"), marshal(g)...))
	})
}

// Gzip compresses the answer, whether or not the client accepts that. The field
// Content-Encoding is contentEncoding; "" leaves the field out.
func Gzip(contentEncoding string) Fault {
	return newAnswerFault("gzip labelled "+contentEncoding, func(w http.ResponseWriter, g grant) {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, _ = zip.Write(marshal(g)) // A write into memory does not fail.
		_ = zip.Close()
		writeEncoded(w, contentEncoding, b.Bytes())
	})
}

// Mislabelled sets Content-Encoding to contentEncoding, and does not encode the
// answer.
func Mislabelled(contentEncoding string) Fault {
	return newAnswerFault("plain labelled "+contentEncoding, func(w http.ResponseWriter, g grant) {
		writeEncoded(w, contentEncoding, marshal(g))
	})
}

func writeEncoded(w http.ResponseWriter, contentEncoding string, body []byte) {
	if contentEncoding != "" {
		w.Header().Set("Content-Encoding", contentEncoding)
	}
	write(w, http.StatusCreated, "application/json", body)
}

// ExpiresIn adds the field expires_in, which Passport's answer does not have.
// The value is JSON of any type. ExpiresIn panics if value is not JSON.
func ExpiresIn(value string) Fault {
	if !json.Valid([]byte(value)) {
		panic("passporttest: ExpiresIn: the value is not JSON")
	}
	return newAnswerFault("expires_in "+value, func(w http.ResponseWriter, g grant) {
		g.ExpiresIn = json.RawMessage(value)
		writeJSON(w, http.StatusCreated, g)
	})
}

// WrongDate adds d to the Date of the answer, as a server or a proxy with a
// wrong clock does. It does not change the claims of the token.
func WrongDate(d time.Duration) Fault {
	return newValidRequestFault("date off by "+d.String(), func(s *Server, w http.ResponseWriter, _ *http.Request, request tokenRequest) {
		w.Header().Set("Date", s.now().Add(d).UTC().Format(http.TimeFormat))
		writeJSON(w, http.StatusCreated, s.grant(request, request.account))
	})
}

// SameToken answers with the newest token of the account, as a server with a
// cache of its own does, even if that token has expired or was revoked. It
// issues a token if the account has none.
func SameToken() Fault {
	return newValidRequestFault("same token", func(s *Server, w http.ResponseWriter, _ *http.Request, request tokenRequest) {
		if newest := s.tokens.newestOf(request.account); newest != "" {
			writeJSON(w, http.StatusCreated, request.grant(request.account, newest))
			return
		}
		writeJSON(w, http.StatusCreated, s.grant(request, request.account))
	})
}
