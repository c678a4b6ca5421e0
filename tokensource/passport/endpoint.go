// SPDX-License-Identifier: Apache-2.0

package passport

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pismoauth/pismoauth/internal/loopback"
	"github.com/pismoauth/pismoauth/tokensource"
)

// tokenRequest returns the request that posts body, a JSON object, to a path
// below the base URL. The base URL and the header have no fault.
func tokenRequest(ctx context.Context, baseURL, path string, header http.Header, body []byte) (*http.Request, error) {
	endpoint, err := url.JoinPath(baseURL, path)
	if err != nil {
		return nil, tokensource.NewError(tokensource.ErrMisconfigured, err) // Not reached: the base URL is valid.
	}
	// The body is not overwritten after the call: the transport may still read
	// it then. The issuer keeps no reference to it.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, tokensource.NewError(tokensource.ErrMisconfigured, err) // Not reached: endpoint is valid.
	}
	maps.Copy(req.Header, header.Clone())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// describe returns the printed form of an issuer: its type and its host.
func describe(issuer, baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil {
		return "passport." + issuer + "(invalid BaseURL)"
	}
	return "passport." + issuer + "(" + u.Host + ")"
}

// scopeOf returns a text that differs if one of the values differs.
func scopeOf(values ...string) string { return fmt.Sprintf("%q", values) }

// faultOf returns the error for a faulty field of an issuer.
func faultOf(issuer, field, reason string) error {
	return &tokensource.ConfigError{Field: issuer + "." + field, Reason: reason}
}

// baseURLFault returns the first fault of a BaseURL, or nil. The fault does not
// quote the URL, since the URL may hold a misplaced secret.
func baseURLFault(issuer, baseURL string, allowHTTP bool) error {
	fault := func(reason string) error { return faultOf(issuer, "BaseURL", reason) }
	if baseURL == "" {
		return fault(`is not set; the sandbox is "https://sandbox.pismolabs.io"`)
	}
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return fault("is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return fault(`does not begin with "https://"`)
	case u.Hostname() == "":
		return fault("has no host")
	case u.Scheme != "https" && !allowHTTP && !loopback.Is(u.Hostname()):
		return fault(`scheme "http" would send the credentials in the clear; use "https"`)
	case u.User != nil:
		return fault("holds user info; remove it")
	case strings.ContainsAny(baseURL, "?#"):
		return fault("has a query or a fragment; remove it")
	case strings.Contains(u.Path+"/", "/passport/"):
		return fault(`holds "/passport", which ` + issuer + ` adds itself; remove it`)
	}
	return nil
}

// headerFaults returns the faults of the additional header fields of an issuer.
func headerFaults(issuer string, header http.Header) (faults []error) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		field := "Header[" + strconv.Quote(name) + "]"
		switch {
		case !isToken(name):
			faults = append(faults, faultOf(issuer, field, "is not the name of a header field"))
		case isReserved(name):
			faults = append(faults, faultOf(issuer, field, "is reserved for the framing, format and authentication of the request; remove it"))
		case slices.ContainsFunc(header[name], hasControl):
			faults = append(faults, faultOf(issuer, field, "holds a control character"))
		}
	}
	return faults
}

// isReserved reports whether a header field must not be in the Header of an
// issuer. The issuer or net/http sets some of these fields. The others would
// make the answer unreadable (Accept-Encoding), change the framing of the
// request, or authenticate it twice.
func isReserved(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Encoding",
		"Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isToken reports whether s is a token. The names of header fields are tokens
// (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// hasControl reports whether s holds a control character other than the tab.
// The value of a header field must not hold one (RFC 9110, section 5.5).
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
