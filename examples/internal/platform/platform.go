// Package platform chooses what the examples talk to: the real platform if the
// environment names it, and a double of it, in this process, if not.
package platform

import (
	"errors"
	"fmt"
	"net/url"
	"os"

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
	// Double is nil if the platform is the real one.
	Double *passporttest.Server
}

// FromEnvironment returns the platform that the environment names. If it names
// none, it starts a double, as config says; the caller has to close it.
func FromEnvironment(config passporttest.Config) (*Platform, error) {
	base := os.Getenv(baseURLVar)
	if base == "" {
		return double(config)
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
	return &Platform{URL: u, Issuer: &passport.S2S{BaseURL: base, Credentials: credentials}}, nil
}

func double(config passporttest.Config) (*Platform, error) {
	server, err := passporttest.Start(config)
	if err != nil {
		return nil, err
	}
	return OfDouble(server), nil
}

// OfDouble returns the platform that a double is.
func OfDouble(server *passporttest.Server) *Platform {
	return &Platform{
		URL: &url.URL{Scheme: "http", Host: server.Host()},
		Issuer: &passport.S2S{
			BaseURL:     server.URL(),
			Credentials: passport.StaticCredentials(server.ServerKey(), server.ServerSecret()),
		},
		Double: server,
	}
}

// Close stops the double, if there is one.
func (p *Platform) Close() {
	if p.Double != nil {
		p.Double.Close()
	}
}
