package passport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/pismoauth/pismoauth/internal/backoff"
	"github.com/pismoauth/pismoauth/tokensource"
)

// maxAnswer is how many bytes of an answer are read: the longest token seen is
// 2 KiB long.
const maxAnswer = 64 << 10

// The causes of errors that are found in an answer. None holds anything of it.
var (
	errRedirect = errors.New("the token endpoint redirects; redirects are not followed")
	errHTML     = errors.New("the answer is an HTML page, of a firewall or a proxy perhaps")
	errEmpty403 = errors.New("the answer is a 403 without a body, of a firewall or a proxy perhaps")
	errTooLong  = errors.New("the answer is longer than 64 KiB")
)

// exchange sends a request for a token and reads the answer. It knows nothing
// of how the request authenticates itself: every issuer of this package goes
// through it. What an answer means is told at [S2S.Issue].
func exchange(client *http.Client, req *http.Request, account tokensource.AccountKind) (tokensource.Grant, error) {
	resp, err := withoutRedirects(client).Do(req)
	if err != nil {
		return tokensource.Grant{}, interrupted(err)
	}
	defer func() { _ = resp.Body.Close() }()
	grant, failure := read(resp, account)
	if failure != nil {
		return tokensource.Grant{}, annotated(failure, resp)
	}
	return grant, nil
}

// withoutRedirects returns a copy of client that follows no redirect.
func withoutRedirects(client *http.Client) *http.Client {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// interrupted returns the error of a request that had no answer, or no whole
// one. A deadline is the context's or the client's own.
func interrupted(err error) *tokensource.Error {
	if errors.Is(err, context.DeadlineExceeded) {
		return tokensource.NewError(tokensource.ErrTimeout, err)
	}
	return tokensource.NewError(tokensource.ErrUnavailable, err)
}

// annotated adds to an error what the head of the answer says.
func annotated(failure *tokensource.Error, resp *http.Response) *tokensource.Error {
	failure.StatusCode = resp.StatusCode
	failure.CorrelationID = correlationID(resp.Header)
	switch failure.Kind {
	case tokensource.ErrRateLimited, tokensource.ErrUnavailable:
		failure.RetryAfter, _ = backoff.RetryAfter(resp.Header, time.Now())
	}
	return failure
}

// read turns an answer into a grant, or into the error it stands for.
func read(resp *http.Response, account tokensource.AccountKind) (tokensource.Grant, *tokensource.Error) {
	if failure := byHead(resp); failure != nil {
		return tokensource.Grant{}, failure
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return tokensource.Grant{}, interrupted(err)
	}
	if failure := byBody(resp.StatusCode, body, account); failure != nil {
		return tokensource.Grant{}, failure
	}
	grant, err := parse(body)
	if err != nil {
		return tokensource.Grant{}, tokensource.NewError(tokensource.ErrMalformedResponse, err)
	}
	return grant, nil
}

// byHead returns the error that needs no look at the body, or nil.
func byHead(resp *http.Response) *tokensource.Error {
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		return tokensource.NewError(tokensource.ErrRateLimited, nil)
	case status == http.StatusRequestTimeout, 500 <= status && status <= 599:
		return tokensource.NewError(tokensource.ErrUnavailable, nil)
	case 300 <= status && status <= 399:
		return tokensource.NewError(tokensource.ErrMalformedResponse, errRedirect)
	case status < 200:
		// The body of a 101 is the connection: it has no end.
		return tokensource.NewError(tokensource.ErrMalformedResponse, nil)
	case mediaType(resp.Header) == "text/html":
		return tokensource.NewError(tokensource.ErrUnavailable, errHTML)
	case resp.ContentLength > maxAnswer:
		return tokensource.NewError(tokensource.ErrMalformedResponse, errTooLong)
	}
	return nil
}

// byBody returns the error that an answer with this status and body stands for,
// or nil if it should be a grant.
func byBody(status int, body []byte, account tokensource.AccountKind) *tokensource.Error {
	text := bytes.TrimSpace(body)
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		return tokensource.NewError(tokensource.ErrUnavailable, errHTML)
	case len(body) > maxAnswer:
		return tokensource.NewError(tokensource.ErrMalformedResponse, errTooLong)
	case status == http.StatusForbidden && len(text) == 0:
		return tokensource.NewError(tokensource.ErrUnavailable, errEmpty403)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return rejected(account)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity:
		// In JSON it is Passport that speaks, and about the account, as the
		// organization is served by the same path and the same fields.
		if account != tokensource.KindOrganization && isObject(text) {
			return rejected(account)
		}
	}
	if status > 299 {
		return tokensource.NewError(tokensource.ErrMalformedResponse, nil)
	}
	return nil
}

// rejected returns the error of who was refused. Passport says the same, a 401,
// of credentials and of an account; the organization has only credentials.
func rejected(account tokensource.AccountKind) *tokensource.Error {
	if account == tokensource.KindOrganization {
		return tokensource.NewError(tokensource.ErrCredentialsRejected, nil)
	}
	return tokensource.NewError(tokensource.ErrAccountRejected, nil)
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
