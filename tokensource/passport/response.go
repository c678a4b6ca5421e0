// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pismoauth/pismoauth/internal/answer"
	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource"
)

// maxAnswer is the greatest size in bytes of an answer, both before and after
// decompression. The longest token seen is 2 KiB long.
const maxAnswer = 64 << 10

// The causes of errors that are found in an answer. Their texts hold no part of
// the answer.
var (
	errRedirect   = errors.New("the token endpoint answers with a redirect, check the base URL")
	errSwitched   = errors.New("the token endpoint switched protocols")
	errHTML       = errors.New("the answer is an HTML page, perhaps of a firewall or a proxy")
	errFirewall   = errors.New("the answer is a 403 that is not a JSON object, perhaps of a firewall or a proxy")
	errTooLong    = errors.New("the answer is longer than 64 KiB")
	errUnreadable = errors.New("the compressed answer breaks off, is longer than 64 KiB, or is in a format other than gzip and deflate")
	errStatus     = errors.New("the token endpoint does not answer with this status, check the base URL")
)

// statusError returns the error of a status whose body does not matter, or nil.
func statusError(status int) *tokensource.Error {
	switch {
	case status == http.StatusTooManyRequests:
		return tokensource.NewError(tokensource.ErrRateLimited, nil)
	case status == http.StatusRequestTimeout, 500 <= status && status <= 599:
		return tokensource.NewError(tokensource.ErrUnavailable, nil)
	case 300 <= status && status <= 399:
		return explainConstant(tokensource.ErrMalformedResponse, errRedirect)
	case status < 200:
		// The body of a 101 is the connection, which has no end.
		return explainConstant(tokensource.ErrMalformedResponse, errSwitched)
	}
	return nil
}

// read returns the grant or the error of an answer. The length of body is at
// most maxAnswer + 1.
func read(resp *http.Response, body []byte, account tokensource.AccountKind) (tokensource.Grant, *tokensource.Error) {
	text, whole := answer.Decode(resp.Header, body[:min(len(body), maxAnswer)], maxAnswer)
	text = bytes.TrimSpace(text)
	long := len(body) > maxAnswer
	object := whole && !long && isObject(text)
	if cause := firewallError(resp, text, object); cause != nil {
		return tokensource.Grant{}, explainConstant(tokensource.ErrUnavailable, cause)
	}
	if long {
		return tokensource.Grant{}, explainConstant(tokensource.ErrMalformedResponse, errTooLong)
	}
	if resp.StatusCode > 299 {
		return tokensource.Grant{}, refusalError(resp.StatusCode, object, account)
	}
	if !whole {
		return tokensource.Grant{}, explainConstant(tokensource.ErrMalformedResponse, errUnreadable)
	}
	grant, err := parse(text, account)
	if err != nil {
		return tokensource.Grant{}, explainConstant(tokensource.ErrMalformedResponse, err)
	}
	grant.Date = endpointTime(resp.Header)
	return grant, nil
}

// firewallError returns an error if the answer comes from a firewall or a proxy
// in front of Passport, or nil.
func firewallError(resp *http.Response, text []byte, object bool) error {
	switch {
	case bytes.HasPrefix(text, []byte("<")), mediaType(resp.Header) == "text/html" && !object:
		return errHTML
	case resp.StatusCode == http.StatusForbidden && !object:
		return errFirewall
	}
	return nil
}

// refusalError returns the error of an answer whose status is 4xx or undefined.
func refusalError(status int, object bool, account tokensource.AccountKind) *tokensource.Error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return rejectionError(account)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		// An answer in JSON comes from Passport. It is about the account, since
		// requests for the organization have the same path and fields.
		if object && account != tokensource.KindOrganization {
			return rejectionError(account)
		}
	}
	return explainConstant(tokensource.ErrMalformedResponse, errStatus)
}

// rejectionError returns the error of a 401. Passport answers 401 both to wrong
// credentials and to a wrong account. A request for the organization has no
// account, so its credentials are wrong.
func rejectionError(account tokensource.AccountKind) *tokensource.Error {
	if account == tokensource.KindOrganization {
		return tokensource.NewError(tokensource.ErrCredentialsRejected, nil)
	}
	return tokensource.NewError(tokensource.ErrAccountRejected, nil)
}

// withResponseInfo adds status, correlation id and Retry-After of the answer to
// an error.
func withResponseInfo(failure *tokensource.Error, resp *http.Response) *tokensource.Error {
	failure.StatusCode = resp.StatusCode
	failure.CorrelationID = correlationID(resp.Header)
	switch failure.Kind {
	case tokensource.ErrRateLimited, tokensource.ErrUnavailable:
		failure.RetryAfter, _ = backoff.RetryAfter(resp.Header, time.Now())
	}
	return failure
}

// maxAge is the greatest valid Age, in seconds: no token lives longer than an
// answer with this Age.
const maxAge = 24 * 60 * 60

// endpointTime returns the time of the token endpoint's clock, or the zero Time
// if the answer does not hold it. It is the sum of the answer's Date and, if a
// cache answered, its Age (RFC 9110, section 6.6.1; RFC 9111, section 5.1).
func endpointTime(h http.Header) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || date.Year() < 2000 {
		return time.Time{} // A computer whose clock is not set says 1970.
	}
	age, err := strconv.ParseUint(strings.TrimSpace(h.Get("Age")), 10, 32)
	if err != nil || age > maxAge {
		age = 0
	}
	return date.Add(time.Duration(age) * time.Second)
}

func mediaType(h http.Header) string {
	// ParseMediaType returns the type even if the parameters are faulty.
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return mediaType
}

func isObject(text []byte) bool {
	return bytes.HasPrefix(text, []byte("{")) && json.Valid(text)
}

// correlationID returns Pismo's id of the answer, which Pismo's support can
// look up. It returns "" if the value does not have the form of an id: the id
// gets into logs and spans, and a server other than Pismo may have answered.
func correlationID(h http.Header) string {
	id := h.Get("X-Cid")
	if len(id) > 128 {
		return ""
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("._:-", c) >= 0:
		default:
			return ""
		}
	}
	return id
}
