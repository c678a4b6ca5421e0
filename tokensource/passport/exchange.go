package passport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"

	"github.com/pismoauth/pismoauth/tokensource"
)

// exchange sends a request for a token and reads the answer. It knows nothing
// of how the request authenticates itself: every issuer of this package goes
// through it. What an answer means is told at [S2S.Issue].
func exchange(client *http.Client, line retirableTransport, req *http.Request, account tokensource.AccountKind) (tokensource.Grant, error) {
	var p progress
	ctx := req.Context()
	// Set, it keeps net/http from unpacking: that fails where the answer is not
	// packed as it says.
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := withTransport(client, line).Do(req.WithContext(httptrace.WithClientTrace(ctx, p.trace())))
	if err != nil {
		return tokensource.Grant{}, retireAndExplain(ctx, err, line, req, &p)
	}
	defer func() { _ = resp.Body.Close() }()
	failure := statusError(resp.StatusCode)
	var grant tokensource.Grant
	if failure == nil {
		p.reach(reading)
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			failure = retireAndExplain(ctx, err, line, req, &p)
		} else {
			grant, failure = read(resp, body, account)
		}
	}
	if failure != nil {
		return tokensource.Grant{}, withResponseInfo(failure, resp)
	}
	return grant, nil
}

// withTransport returns a copy of client that sends over line and follows no redirect.
func withTransport(client *http.Client, line retirableTransport) *http.Client {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.Transport = line
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// retireAndExplain returns the error of an exchange that err ended. Its connection, if
// there was one, is not used again: it may be the connection that is broken, and
// not the endpoint.
func retireAndExplain(ctx context.Context, err error, line retirableTransport, req *http.Request, p *progress) *tokensource.Error {
	if phase, _ := p.reached(); phase >= waiting {
		line.Retire()
	}
	return exchangeError(ctx, err, req.URL.Host, p)
}
