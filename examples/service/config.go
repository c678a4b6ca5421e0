// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pismoauth/pismoauth/tokensource"
)

// config is the configuration of the service. Its variables are:
//
//	PISMO_BASE_URL       the address of the platform; required
//	PISMO_SERVER_KEY_FILE, PISMO_SERVER_SECRET_FILE
//	                     the files with the credentials. Default: server_key and
//	                     server_secret in $CREDENTIALS_DIRECTORY, which systemd
//	                     sets for LoadCredential
//	READY_ACCOUNT        an account that the credentials reach: /readyz asks for its
//	                     token if there is no other; required
//	JWT_ISSUER, JWT_AUDIENCE
//	                     what the app's JWTs must have in iss and aud; required
//	JWT_PUBLIC_KEY_FILE  the RSA key, in PEM, that verifies them; required
//	JWT_ACCOUNT_CLAIM    the claim with the account's id; account_id by default
//	LISTEN               the address for the app; :8080 by default
//	ADMIN_LISTEN         the address for probes and metrics; 127.0.0.1:9090 by default
//	DRAIN                how long running requests may take when the service is
//	                     stopped; 25s by default
type config struct {
	baseURL             *url.URL
	keyFile, secretFile string
	readyAccount        tokensource.Account
	issuer, audience    string
	claim               string
	publicKey           *rsa.PublicKey
	listen, adminListen string
	drain               time.Duration
}

// newConfig reads the configuration. It reports every fault.
func newConfig(getenv func(string) string) (*config, error) {
	r := &reader{getenv: getenv}
	directory := getenv("CREDENTIALS_DIRECTORY")
	c := &config{
		baseURL:     parsed(r, "PISMO_BASE_URL", "", parseURL),
		keyFile:     r.file("PISMO_SERVER_KEY_FILE", directory, "server_key"),
		secretFile:  r.file("PISMO_SERVER_SECRET_FILE", directory, "server_secret"),
		issuer:      r.required("JWT_ISSUER"),
		audience:    r.required("JWT_AUDIENCE"),
		publicKey:   parsed(r, "JWT_PUBLIC_KEY_FILE", "", readPublicKey),
		claim:       r.optional("JWT_ACCOUNT_CLAIM", "account_id"),
		listen:      r.optional("LISTEN", ":8080"),
		adminListen: r.optional("ADMIN_LISTEN", "127.0.0.1:9090"),
		drain:       parsed(r, "DRAIN", "25s", time.ParseDuration),
	}
	c.readyAccount = parsed(r, "READY_ACCOUNT", "", tokensource.ParseAccountID)
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	return c, nil
}

// A reader reads variables, and collects their faults.
type reader struct {
	getenv func(string) string
	faults []error
}

func (r *reader) optional(name, byDefault string) string {
	if value := r.getenv(name); value != "" {
		return value
	}
	return byDefault
}

func (r *reader) required(name string) string {
	value := r.getenv(name)
	if value == "" {
		r.faults = append(r.faults, fmt.Errorf("%s is not set", name))
	}
	return value
}

// file returns the path in a variable, or the path of a file in a directory.
func (r *reader) file(name, directory, byDefault string) string {
	path := r.getenv(name)
	if path == "" && directory != "" {
		path = filepath.Join(directory, byDefault)
	}
	if path == "" {
		r.faults = append(r.faults, fmt.Errorf("%s is not set, and neither is CREDENTIALS_DIRECTORY", name))
	}
	return path
}

// parsed returns the parsed value of a variable. A variable without a default
// is required.
func parsed[T any](r *reader, name, byDefault string, parse func(string) (T, error)) (value T) {
	text := r.optional(name, byDefault)
	if text == "" {
		r.required(name)
		return value
	}
	value, err := parse(text)
	if err != nil {
		r.faults = append(r.faults, fmt.Errorf("%s: %w", name, err))
	}
	return value
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && u.Host == "" {
		err = errors.New("it has no host; write it as https://sandbox.pismolabs.io")
	}
	return u, err
}

func readPublicKey(path string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, err
	}
	return jwt.ParseRSAPublicKeyFromPEM(text)
}
