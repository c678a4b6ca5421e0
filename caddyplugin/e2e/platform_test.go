// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The accounts of two users.
const (
	alice = "102681871"
	bob   = "102681872"
)

// carol is the account of a user whom the sites do not know.
const carol = "102681873"

// accounts are the accounts of the users whom the sites know.
var accounts = map[string]string{"alice": alice, "bob": bob}

// A fakePlatform is the fake server, with the configuration that names it.
type fakePlatform struct{ *passporttest.Server }

func newPlatform(tb testing.TB, config passporttest.Config) fakePlatform {
	tb.Helper()
	return fakePlatform{passporttest.NewServer(tb, config)}
}

// client returns the global option that defines the client main of the
// platform. Each element of more is a line with another option.
func (p fakePlatform) client(more ...string) string {
	return `pismo {
	client main {
		base_url ` + p.URL() + `
		server_key {env.PISMO_SERVER_KEY}
		server_secret {env.PISMO_SERVER_SECRET}
		` + strings.Join(more, "\n") + `
	}
}
`
}

// env returns the environment with the credentials.
func (p fakePlatform) env() []string {
	return []string{"PISMO_SERVER_KEY=" + p.ServerKey(), "PISMO_SERVER_SECRET=" + p.ServerSecret()}
}

// token returns a token of the platform, for requests without the plugin.
func (p fakePlatform) token(tb testing.TB, account string) string {
	tb.Helper()
	source, err := tokensource.New(tokensource.Config{Issuer: p.Issuer()})
	if err != nil {
		tb.Fatal(err)
	}
	token, err := source.ForAccount(acct(tb, account)).Token(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return token.Reveal()
}

func acct(tb testing.TB, id string) tokensource.Account {
	tb.Helper()
	account, err := tokensource.ParseAccountID(id)
	if err != nil {
		tb.Fatal(err)
	}
	return account
}

// site returns a site in plain HTTP. In its directives, {account} is the
// account of the user that a request names in X-User, or alice's account. The
// site has no authentication, which would make the tests slower.
func site(address string, directives ...string) string {
	return block("http://"+address, append([]string{"bind 127.0.0.1", users()}, directives...)...) + "\n"
}

// users returns the directive that gives {account} its value.
func users() string {
	lines := []string{"default " + alice}
	for user, account := range accounts {
		lines = append(lines, user+" "+account)
	}
	return block("map {http.request.header.X-User} {account}", lines...)
}

// pismoProxy returns a pismo_proxy to an upstream. Each element of more is a
// line with an option.
func pismoProxy(upstream string, more ...string) string {
	return block("pismo_proxy "+upstream, append([]string{"account {account}"}, more...)...)
}

// transportOnly returns a reverse_proxy with the transport pismo, without
// pismo_auth in front.
func transportOnly(upstream string, more ...string) string {
	return block("reverse_proxy "+upstream, append([]string{block("transport pismo", "account {account}")}, more...)...)
}

// reverseProxyWithToken returns a reverse_proxy with a constant token.
func reverseProxyWithToken(upstream, token string, more ...string) string {
	return block("reverse_proxy "+upstream, append([]string{"header_up Authorization \"Bearer " + token + "\""}, more...)...)
}

func block(head string, lines ...string) string {
	return head + " {\n" + strings.Join(lines, "\n") + "\n}"
}
