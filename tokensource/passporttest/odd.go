package passporttest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"time"
)

// The faults of this file are answers with a good token, written in the ways of
// real servers and of what stands in front of them. A client should take them.
// With [Server.FailAlways] the token endpoint always answers so.

// ByteOrderMark puts a byte order mark before the answer.
func ByteOrderMark() Fault {
	return spoiled("byte order mark", func(w http.ResponseWriter, g grant) {
		write(w, http.StatusCreated, "application/json", append([]byte("\ufeff"), marshal(g)...))
	})
}

// Gzip compresses the answer, whether the client asked for that or not, and
// names contentEncoding in the field of that name; "" leaves the field out.
func Gzip(contentEncoding string) Fault {
	return spoiled("gzip labelled "+contentEncoding, func(w http.ResponseWriter, g grant) {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, _ = zip.Write(marshal(g)) // Into memory, which does not fail.
		_ = zip.Close()
		writeEncoded(w, contentEncoding, b.Bytes())
	})
}

// Mislabelled names contentEncoding for an answer that has no encoding.
func Mislabelled(contentEncoding string) Fault {
	return spoiled("plain labelled "+contentEncoding, func(w http.ResponseWriter, g grant) {
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
// The value is JSON, of any type; it panics if it is not.
func ExpiresIn(value string) Fault {
	if !json.Valid([]byte(value)) {
		panic("passporttest: ExpiresIn: the value is not JSON")
	}
	return spoiled("expires_in "+value, func(w http.ResponseWriter, g grant) {
		g.ExpiresIn = json.RawMessage(value)
		writeJSON(w, http.StatusCreated, g)
	})
}

// WrongDate has the Date of the answer be off by d, as the clock of a server or
// of a proxy can be. The claims of the token are not affected.
func WrongDate(d time.Duration) Fault {
	return inOrder("date off by "+d.String(), func(s *Server, w http.ResponseWriter, _ *http.Request, ask ask) {
		w.Header().Set("Date", s.now().Add(d).UTC().Format(http.TimeFormat))
		writeJSON(w, http.StatusCreated, s.grant(ask, ask.account))
	})
}

// SameToken answers with the token that was issued last for the account, as a
// server does that keeps tokens itself, even if it has expired or was revoked
// since. If none was issued, it issues one.
func SameToken() Fault {
	return inOrder("same token", func(s *Server, w http.ResponseWriter, _ *http.Request, ask ask) {
		if last := s.ledger.last(ask.account); last != "" {
			writeJSON(w, http.StatusCreated, ask.grant(ask.account, last))
			return
		}
		writeJSON(w, http.StatusCreated, s.grant(ask, ask.account))
	})
}
