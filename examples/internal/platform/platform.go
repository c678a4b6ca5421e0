// Package platform chooses what the examples talk to: the real platform if the
// environment names it, and a fake of it, in this process, if not.
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

// A Platform is what an example talks to.
type Platform struct {
	URL    *url.URL
	Issuer *passport.S2S
	// FakeServer is nil if the platform is the real one.
	FakeServer *passporttest.Server
}

// checkTime is how long the credentials may take to be read.
const checkTime = 10 * time.Second

// FromEnvironment returns the platform that the environment names, if its
// credentials can be read. If it names none, it starts a fake server, as config
// says; the caller has to close it.
func FromEnvironment(config passporttest.Config) (*Platform, error) {
	base := os.Getenv(baseURLVar)
	if base == "" {
		for _, name := range []string{keyVar, secretVar, secretFileVar} {
			if os.Getenv(name) != "" {
				return nil, fmt.Errorf("%s is set, but %s is not: set it to the platform's URL, or unset %[1]s to use a fake server", name, baseURLVar)
			}
		}
		return startFake(config)
	}
	credentials := passport.EnvCredentials(keyVar, secretVar)
	if file := os.Getenv(secretFileVar); file != "" {
		credentials.Secret = passport.File(file)
	} else if os.Getenv(secretVar) == "" {
		return nil, fmt.Errorf("%s is set, but neither %s nor %s is", baseURLVar, secretVar, secretFileVar)
	}
	if os.Getenv(keyVar) == "" {
		return nil, fmt.Errorf("%s is set, but %s is not", baseURLVar, keyVar)
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New(baseURLVar + " is not a URL")
	}
	issuer := &passport.S2S{BaseURL: base, Credentials: credentials}
	if err := issuer.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", baseURLVar, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
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

// FromFakeServer returns the platform that a fake server is. Its credentials are
// read at each issuance, so that a secret that rotates is followed.
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
