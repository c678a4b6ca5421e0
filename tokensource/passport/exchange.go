// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"

	"github.com/pismoauth/pismoauth/tokensource"
)

// exchange sends a request for a token and reads the answer. Every issuer of
// this package uses it: it does not depend on how the request is authenticated.
// [S2S.Issue] documents the meaning of the answers.
func exchange(client *http.Client, rt retirableTransport, req *http.Request, account tokensource.AccountKind) (tokensource.Grant, error) {
	var p progress
	ctx := req.Context()
	// If the field is set, net/http does not decompress the answer. It would
	// fail if the answer is not in the format that its header names.
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := withTransport(client, rt).Do(req.WithContext(httptrace.WithClientTrace(ctx, p.trace())))
	if err != nil {
		return tokensource.Grant{}, retireAndExplain(ctx, err, rt, req, &p)
	}
	defer func() { _ = resp.Body.Close() }()
	failure := statusError(resp.StatusCode)
	var grant tokensource.Grant
	if failure == nil {
		p.reach(reading)
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			failure = retireAndExplain(ctx, err, rt, req, &p)
		} else {
			grant, failure = read(resp, body, account)
		}
	}
	if failure != nil {
		return tokensource.Grant{}, withResponseInfo(failure, resp)
	}
	return grant, nil
}

// withTransport returns a copy of client that uses the transport rt and follows
// no redirects.
func withTransport(client *http.Client, rt retirableTransport) *http.Client {
	var c http.Client
	if client != nil {
		c = *client
	}
	c.Transport = rt
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// retireAndExplain returns the error of an exchange that ended with err. If the
// exchange had a connection, it retires the connection: the connection may be
// broken although the endpoint is not.
func retireAndExplain(ctx context.Context, err error, rt retirableTransport, req *http.Request, p *progress) *tokensource.Error {
	if phase, _ := p.reached(); phase >= waiting {
		rt.Retire()
	}
	return exchangeError(ctx, err, req.URL.Host, p)
}
