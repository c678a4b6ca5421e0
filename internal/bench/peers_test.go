// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"
)

// An endpoint issues tokens for x/oauth2, as issuer does for a Source.
type endpoint struct{ issued atomic.Uint64 }

func (e *endpoint) Token() (*oauth2.Token, error) {
	return &oauth2.Token{
		AccessToken: tokenValue(e.issued.Add(1)),
		TokenType:   "Bearer",
		Expiry:      time.Now().Add(lifetime),
	}, nil
}

// newReuseTokenSource returns the token cache of x/oauth2, which has a mutex
// and reads the clock. x/oauth2 wraps every Config.TokenSource in one.
func newReuseTokenSource() oauth2.TokenSource { return oauth2.ReuseTokenSource(nil, &endpoint{}) }

// A sourceMap is the usual code for many accounts with x/oauth2: a map of token
// sources behind an RWMutex, which is locked for writing only to add an
// account. The key is a number, which hashes faster than a string.
type sourceMap struct {
	mu      sync.RWMutex
	sources map[int64]oauth2.TokenSource
}

func (m *sourceMap) Token(account int64) (*oauth2.Token, error) {
	m.mu.RLock()
	source, ok := m.sources[account]
	m.mu.RUnlock()
	if !ok {
		source = m.add(account)
	}
	return source.Token()
}

func (m *sourceMap) add(account int64) oauth2.TokenSource {
	m.mu.Lock()
	defer m.mu.Unlock()
	source, ok := m.sources[account]
	if !ok {
		source = newReuseTokenSource()
		m.sources[account] = source
	}
	return source
}

// newOAuth2 returns the transport of an oauth2.NewClient. It neither renews at
// a 401 nor retries.
func newOAuth2(base http.RoundTripper) http.RoundTripper {
	return &oauth2.Transport{Source: newReuseTokenSource(), Base: base}
}

// newRetrying returns go-retryablehttp on top of the transport of x/oauth2.
// Together they do the work of package transport. All settings are the
// defaults, except the logger, which would write two lines per request, and the
// client below. StandardClient returns the same RoundTripper in an http.Client.
func newRetrying(base http.RoundTripper) http.RoundTripper {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = &http.Client{Transport: newOAuth2(base)}
	return &retryablehttp.RoundTripper{Client: client}
}
