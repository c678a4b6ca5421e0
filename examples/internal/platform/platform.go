// SPDX-License-Identifier: Apache-2.0

// Package platform selects the platform of the examples: the real platform if
// the environment names it, or else a fake in the same process.
package platform

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
	"github.com/pismoauth/pismoauth/tokensource/passporttest"
)

// The variables that name the real platform.
const (
	baseURLVar    = "PISMO_BASE_URL"
	keyVar        = "PISMO_SERVER_KEY"
	secretVar     = "PISMO_SERVER_SECRET"
	secretFileVar = "PISMO_SERVER_SECRET_FILE"
)

// A Platform is the real platform or a fake.
type Platform struct {
	URL    *url.URL
	Issuer *passport.S2S
	// FakeServer is nil if the platform is the real one.
	FakeServer *passporttest.Server
}

// checkTimeout limits the time to read the credentials.
const checkTimeout = 10 * time.Second

// FromEnvironment returns the platform that the environment names. It returns
// an error if the credentials cannot be read. If the environment names no
// platform, it starts a fake server with config. The caller must call Close.
func FromEnvironment(config passporttest.Config) (*Platform, error) {
	base := os.Getenv(baseURLVar)
	if base == "" {
		for _, name := range []string{keyVar, secretVar, secretFileVar} {
			if os.Getenv(name) != "" {
				return nil, fmt.Errorf("%s is set, but %s is not: set %[2]s to the platform's URL, or unset %[1]s to use a fake server", name, baseURLVar)
			}
		}
		return startFake(config)
	}
	credentials := passport.EnvCredentials(keyVar, secretVar)
	if file := os.Getenv(secretFileVar); file != "" {
		credentials.Secret = passport.File(file)
	} else if os.Getenv(secretVar) == "" {
		return nil, fmt.Errorf("%s is set, but neither %s nor %s is: set one of them", baseURLVar, secretVar, secretFileVar)
	}
	if os.Getenv(keyVar) == "" {
		return nil, fmt.Errorf("%s is set, but %s is not: set both", baseURLVar, keyVar)
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New(baseURLVar + " is not a URL")
	}
	issuer := &passport.S2S{BaseURL: base, Credentials: credentials}
	if err := issuer.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", baseURLVar, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	if err := credentials.Check(ctx); err != nil {
		return nil, err
	}
	return &Platform{URL: u, Issuer: issuer}, nil
}

func startFake(config passporttest.Config) (*Platform, error) {
	server, err := passporttest.Start(config)
	if err != nil {
		return nil, err
	}
	return FromFakeServer(server), nil
}

// FromFakeServer returns a Platform that uses the fake server. It reads the
// credentials at each issuance, and so picks up a rotated secret.
func FromFakeServer(server *passporttest.Server) *Platform {
	return &Platform{
		URL: &url.URL{Scheme: "http", Host: server.Host()},
		Issuer: &passport.S2S{
			BaseURL: server.URL(),
			Credentials: passport.Credentials{
				Key: passport.Literal(server.ServerKey()),
				Secret: func(ctx context.Context) (tokensource.Secret, error) {
					return passport.Literal(server.ServerSecret())(ctx)
				},
			},
		},
		FakeServer: server,
	}
}

// Close stops the fake server, if there is one.
func (p *Platform) Close() {
	if p.FakeServer != nil {
		p.FakeServer.Close()
	}
}
