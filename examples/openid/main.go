// SPDX-License-Identifier: Apache-2.0

// Openid obtains tokens by OpenID for two permission groups, and rotates its
// key. It uses a fake server in its own process, and checks each step.
//
//	go run ./examples/openid
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pismoauth/pismoauth/examples/internal/cli"
	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
	"github.com/pismoauth/pismoauth/transport"
)

// Each permission group has the endpoints that its tokens reach.
const (
	accountsGroup = "pismo-v1:accounts:rw"
	orgsGroup     = "pismo-v1:orgs:rw"
)

var groups = map[string][]string{
	accountsGroup: {"/v1/accounts/", "/v1/payments"},
	orgsGroup:     {"/v1/organization"},
}

func main() {
	cli.Main(flag.NewFlagSet("openid", flag.ContinueOnError), func() error {
		pismo, err := passporttest.Start(passporttest.Config{OpenID: passporttest.OpenIDConfig{Groups: groups}})
		if err != nil {
			return err
		}
		defer pismo.Close()
		dir, err := os.MkdirTemp("", "pismo-openid")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		return run(pismo, dir)
	})
}

func run(pismo *passporttest.Server, dir string) error {
	current, next := filepath.Join(dir, "current.pem"), filepath.Join(dir, "next.pem")
	old, err := newKey(current)
	if err != nil {
		return err
	}
	pismo.RegisterKey(old) // With Pismo, a person does this in Control Center.

	key := passport.FileKey(current, next)
	router, sources, err := newRouter(pismo, key)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: router, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	if err := readBoth(client, pismo, 2, "a token for each permission group"); err != nil {
		return err
	}

	// For the rotation, the next key waits in its file until Pismo approves it.
	approved, err := newKey(next)
	if err != nil {
		return err
	}
	pismo.RegisterKey(approved)
	pismo.WithdrawKey(old)
	for _, source := range sources {
		source.InvalidateAll() // The old tokens would otherwise serve until they expire.
	}
	return readBoth(client, pismo, 4, "new tokens, signed for with the next key")
}

// newKey writes a new private key to a file. It returns the public key.
func newKey(path string) (*rsa.PublicKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &key.PublicKey, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// newRouter returns a RoundTripper that sends each request with a token of the
// request's permission group.
func newRouter(pismo *passporttest.Server, key passport.Key) (*transport.Router, []*tokensource.Source, error) {
	routes := map[string]http.RoundTripper{}
	var sources []*tokensource.Source
	for group, patterns := range groups {
		source, err := tokensource.New(tokensource.Config{Issuer: pismo.OpenIDIssuer(key, group)})
		if err != nil {
			return nil, nil, err
		}
		authenticated, err := transport.New(transport.Config{Source: source, Hosts: []string{pismo.Host()}})
		if err != nil {
			return nil, nil, err
		}
		for _, pattern := range patterns {
			routes[pattern] = authenticated
		}
		sources = append(sources, source)
	}
	router, err := transport.NewRouter(routes)
	return router, sources, err
}

// readBoth reads an account and the organization. It checks the number of
// issued tokens.
func readBoth(client *http.Client, pismo *passporttest.Server, issued int, step string) error {
	account, err := tokensource.ParseAccountID("102681871")
	if err != nil {
		return err
	}
	for path, who := range map[string]tokensource.Account{
		"/v1/accounts/102681871": account, "/v1/organization": tokensource.Organization(),
	} {
		ctx := tokensource.ContextWithAccount(context.Background(), who)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, pismo.URL()+path, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s is answered %s", step, path, resp.Status)
		}
	}
	if n := pismo.Counts().Issued; n != issued {
		return fmt.Errorf("%s: %d tokens were issued, want %d", step, n, issued)
	}
	fmt.Println("ok:", step)
	return nil
}
