package bench

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"
)

// endpoint stands for the token endpoint of x/oauth2, as issuer does for ours.
type endpoint struct{ issued atomic.Uint64 }

func (e *endpoint) Token() (*oauth2.Token, error) {
	return &oauth2.Token{
		AccessToken: tokenValue(e.issued.Add(1)),
		TokenType:   "Bearer",
		Expiry:      time.Now().Add(lifetime),
	}, nil
}

// reusing returns what x/oauth2 has for keeping a token: a mutex around it, and
// a look at the clock. Every Config.TokenSource is wrapped in one.
func reusing() oauth2.TokenSource { return oauth2.ReuseTokenSource(nil, &endpoint{}) }

// A sourceMap is what people write for many accounts, having x/oauth2: a map of
// token sources behind an RWMutex, locked for writing only to add one. The key
// is a number, which hashes faster than the string that it often is.
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
		source = reusing()
		m.sources[account] = source
	}
	return source
}

// newOAuth2 returns the transport of an oauth2.NewClient. It neither renews at
// a 401 nor retries.
func newOAuth2(base http.RoundTripper) http.RoundTripper {
	return &oauth2.Transport{Source: reusing(), Base: base}
}

// newRetrying returns go-retryablehttp on top of that: the two libraries whose
// work ours does in one. All settings are its defaults but the logger, which
// writes two lines per request otherwise, and the client below. What StandardClient
// returns is this RoundTripper in an http.Client.
func newRetrying(base http.RoundTripper) http.RoundTripper {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = &http.Client{Transport: newOAuth2(base)}
	return &retryablehttp.RoundTripper{Client: client}
}
