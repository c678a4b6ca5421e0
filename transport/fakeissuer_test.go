// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
)

// host is the host of the configuration in tests without a network.
const (
	host   = "sandbox.pismolabs.io"
	target = "https://" + host + "/v1/payments"
)

// lifetime is the default lifetime of a fakeIssuer's tokens.
const lifetime = 10 * time.Minute

// A fakeIssuer issues tokens, and knows which tokens are valid.
type fakeIssuer struct {
	// before runs in each issuance, with the context of the issuance. Its error
	// becomes the error of the issuance. Do not change it while the fakeIssuer is
	// in use.
	before func(context.Context) error
	life   time.Duration // lifetime of its tokens; 0 means lifetime

	mu     sync.Mutex
	good   map[string]tokensource.Account // by token
	issued int
}

func (m *fakeIssuer) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	if m.before != nil {
		if err := m.before(ctx); err != nil {
			return tokensource.Grant{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.issued++
	token := fmt.Sprintf("sentinel-token-%d", m.issued)
	if m.good == nil {
		m.good = map[string]tokensource.Account{}
	}
	m.good[token] = account
	return tokensource.Grant{Token: tokensource.NewSecret(token), ExpiresIn: cmp.Or(m.life, lifetime)}, nil
}

// revoke revokes all tokens.
func (m *fakeIssuer) revoke() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.good)
}

// issuances returns the number of issued tokens.
func (m *fakeIssuer) issuances() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.issued
}

// account returns the account of the token in a header, and reports whether the
// token is valid.
func (m *fakeIssuer) account(h http.Header) (tokensource.Account, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return tokensource.Account{}, false
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	m.mu.Lock()
	defer m.mu.Unlock()
	account, good := m.good[token]
	return account, ok && good
}

// guard answers 401, without a body, to requests without a valid token.
func (m *fakeIssuer) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := m.account(r.Header); !ok {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// answer answers 401, without a body, to requests without a valid token, and
// 200 to other requests.
func (m *fakeIssuer) answer(s sentRequest) (*http.Response, error) {
	if _, ok := m.account(s.header); !ok {
		return respond(http.StatusUnauthorized, ""), nil
	}
	return respond(http.StatusOK, "ok"), nil
}
