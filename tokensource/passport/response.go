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

// maxAnswer is how many bytes of an answer are read, and how many it may have
// when it is unpacked: the longest token seen is 2 KiB long.
const maxAnswer = 64 << 10

// The causes of errors that are found in an answer. None holds anything of it.
var (
	errRedirect   = errors.New("the token endpoint redirects; redirects are not followed")
	errSwitched   = errors.New("the token endpoint switched protocols")
	errHTML       = errors.New("the answer is an HTML page, of a firewall or a proxy perhaps")
	errFirewall   = errors.New("the answer is a 403 that is not a JSON object, of a firewall or a proxy perhaps")
	errTooLong    = errors.New("the answer is longer than 64 KiB")
	errUnreadable = errors.New("the answer is compressed, and breaks off, is longer than 64 KiB, or is in a format other than gzip and deflate")
	errStatus     = errors.New("the token endpoint does not answer with this status, check the base URL")
)

// statusError returns the error that needs no look at the body, or nil.
func statusError(status int) *tokensource.Error {
	switch {
	case status == http.StatusTooManyRequests:
		return tokensource.NewError(tokensource.ErrRateLimited, nil)
	case status == http.StatusRequestTimeout, 500 <= status && status <= 599:
		return tokensource.NewError(tokensource.ErrUnavailable, nil)
	case 300 <= status && status <= 399:
		return explainConstant(tokensource.ErrMalformedResponse, errRedirect)
	case status < 200:
		// The body of a 101 is the connection: it has no end.
		return explainConstant(tokensource.ErrMalformedResponse, errSwitched)
	}
	return nil
}

// read turns an answer into a grant, or into the error it stands for. Of body it
// is given at most one byte more than maxAnswer.
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

// firewallError returns why it is not Passport that answers, or nil.
func firewallError(resp *http.Response, text []byte, object bool) error {
	switch {
	case bytes.HasPrefix(text, []byte("<")), mediaType(resp.Header) == "text/html" && !object:
		return errHTML
	case resp.StatusCode == http.StatusForbidden && !object:
		return errFirewall
	}
	return nil
}

// refusalError returns the error of an answer with a status of 4xx, or with one that
// does not exist.
func refusalError(status int, object bool, account tokensource.AccountKind) *tokensource.Error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return rejectionError(account)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		// In JSON it is Passport that speaks, and about the account, as the
		// organization is served by the same path and the same fields.
		if object && account != tokensource.KindOrganization {
			return rejectionError(account)
		}
	}
	return explainConstant(tokensource.ErrMalformedResponse, errStatus)
}

// rejectionError returns the error of who was refused. Passport says the same, a 401,
// of credentials and of an account; the organization has only credentials.
func rejectionError(account tokensource.AccountKind) *tokensource.Error {
	if account == tokensource.KindOrganization {
		return tokensource.NewError(tokensource.ErrCredentialsRejected, nil)
	}
	return tokensource.NewError(tokensource.ErrAccountRejected, nil)
}

// withResponseInfo adds to an error what the head of the answer says.
func withResponseInfo(failure *tokensource.Error, resp *http.Response) *tokensource.Error {
	failure.StatusCode = resp.StatusCode
	failure.CorrelationID = correlationID(resp.Header)
	switch failure.Kind {
	case tokensource.ErrRateLimited, tokensource.ErrUnavailable:
		failure.RetryAfter, _ = backoff.RetryAfter(resp.Header, time.Now())
	}
	return failure
}

// maxAge is the longest that an answer with a token can have been in a cache:
// the token would not have outlived it.
const maxAge = 24 * 60 * 60

// endpointTime returns the time by the token endpoint's own clock, or the zero Time if
// the answer does not tell. Where a cache answered, it is the Date of the answer
// and its Age together (RFC 9110, section 6.6.1; RFC 9111, section 5.1).
func endpointTime(h http.Header) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || date.Year() < 2000 {
		return time.Time{} // Without a clock, computers live in 1970.
	}
	age, err := strconv.ParseUint(strings.TrimSpace(h.Get("Age")), 10, 32)
	if err != nil || age > maxAge {
		age = 0
	}
	return date.Add(time.Duration(age) * time.Second)
}

func mediaType(h http.Header) string {
	// Faulty parameters are no concern: the type is returned nevertheless.
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return mediaType
}

func isObject(text []byte) bool {
	return bytes.HasPrefix(text, []byte("{")) && json.Valid(text)
}

// correlationID returns Pismo's id of the answer, for a ticket with its
// support, or "" if it is not one: it ends in logs and in the attributes of
// spans, and who knows who answered.
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
