// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// monitor records the commands that a server executes. The returned function
// ends the record and returns it.
func (s *server) monitor(t *testing.T) (stop func() string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "redis-cli", "-p", s.port(), "MONITOR")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var record strings.Builder
	lines := bufio.NewReader(out)
	read := func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Error("redis-cli MONITOR ends:", err)
		}
		record.WriteString(line)
		return line
	}
	read() // OK
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !t.Failed() && !strings.Contains(read(), "end of the record") {
		}
	}()
	return func() string {
		s.cli(t, "ECHO", "end of the record")
		<-done
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return record.String()
	}
}

// A recorder remembers the tokens that an issuer grants.
type recorder struct {
	tokensource.Issuer

	scope  string
	tokens chan string
	fails  atomic.Bool
}

func (r *recorder) Scope() string { return r.scope }

func (r *recorder) Issue(ctx context.Context, account tokensource.Account) (tokensource.Grant, error) {
	if r.fails.Load() {
		return tokensource.Grant{}, tokensource.NewError(tokensource.ErrUnavailable, nil)
	}
	grant, err := r.Issuer.Issue(ctx, account)
	if err == nil {
		r.tokens <- grant.Token.Reveal()
	}
	return grant, err
}

// Somebody watches all commands while tokens are issued, shared, refused and
// renewed, and while issuances fail. The commands, the keys and the values have
// no token, account, key id or secret.
func TestStore_CommandsTellNothing(t *testing.T) {
	s := startRedis(t)
	if s == nil {
		return
	}
	pismo := passporttest.NewServer(t, passporttest.Config{})
	inner := pismo.Issuer()
	issuer := &recorder{Issuer: inner, scope: inner.Scope(), tokens: make(chan string, 1000)}
	var sources []*tokensource.Source
	for range 2 {
		shared, err := fleet.New(fleet.Config{
			Issuer: issuer, Key: passport.StaticCredentials(pismo.ServerKey(), pismo.ServerSecret()).Secret,
			Store: newStore(t, redisstore.Config{Addr: []string{s.addr}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		src, err := tokensource.New(tokensource.Config{Issuer: shared})
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, src)
	}
	stop := s.monitor(t)
	const first, accounts = 770_000_111_222_001, 3
	token := func(src *tokensource.Source, number int) *tokensource.Token {
		tok, err := src.Token(t.Context(), account(t, number))
		if err != nil {
			t.Fatal("Token:", err)
		}
		return tok
	}
	for n := range accounts {
		for _, src := range sources {
			token(src, first+n)
		}
	}
	for _, src := range sources { // Until the budget is empty.
		for range 8 {
			_, _ = src.Renew(t.Context(), token(src, first))
		}
	}
	issuer.fails.Store(true)
	for n := range 5 {
		for _, src := range sources {
			if _, err := src.Token(t.Context(), account(t, first+100+n)); err == nil {
				t.Error("the endpoint fails, but there is a token")
			}
		}
	}
	record := stop()
	for key := range strings.FieldsSeq(s.cli(t, "--scan")) {
		record += key + s.cli(t, "GET", key) + s.cli(t, "--no-raw", "GET", key)
	}
	for _, want := range []string{`"eval"`, `"evalsha"`, `:value"`, `:lease"`, `:budget"`} {
		if !strings.Contains(strings.ToLower(record), want) {
			t.Errorf("the record has no %s, so the test proves nothing", want)
		}
	}
	hidden := []string{"770000111222", pismo.ServerKey(), pismo.ServerSecret(), pismo.Host()}
	close(issuer.tokens)
	for token := range issuer.tokens {
		hidden = append(hidden, token, token[len(token)-20:])
	}
	if len(hidden) < 4+2*(accounts+1) {
		t.Errorf("only %d secrets are known", len(hidden))
	}
	for _, secret := range hidden {
		if secret == "" || strings.Contains(record, secret) {
			t.Errorf("the record has a secret of %d bytes", len(secret))
		}
	}
	t.Logf("%d commands, %d secrets", strings.Count(record, "\n"), len(hidden))
}
