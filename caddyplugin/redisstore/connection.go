// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// connections holds the connections by their options. It is package-level
// because only package state outlives a configuration.
var connections = caddy.NewUsagePool()

// quiet drops the lines that the client of Redis writes to standard error. They
// have the address of the server, and not Caddy's format. The client's own log
// lines say what fails.
type quiet struct{}

// Printf implements the logger of the client.
func (quiet) Printf(context.Context, string, ...any) {}

func init() {
	redis.SetLogger(quiet{}) // The client of Redis has one logger for the process.
}

// A connection is a store that several configurations share.
type connection struct{ *redisstore.Store }

// Destruct implements [caddy.Destructor]. The connections end in any case: a
// server that has closed one first is no fault of the configuration.
func (c connection) Destruct() error {
	_ = c.Close()
	return nil
}

// connect returns the shared store for resolved options, and its key. The
// caller must disconnect. It contacts no server.
func connect(options *Store) (fleet.Store, string, error) {
	encryption, authorities, err := options.TLS.config()
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal([]any{options, authorities})
	if err != nil {
		return nil, "", err
	}
	key := string(text)
	value, _, err := connections.LoadOrNew(key, func() (caddy.Destructor, error) {
		store, err := redisstore.New(redisstore.Config{
			Addr:           options.Address,
			SentinelMaster: options.SentinelMaster,
			TLS:            encryption,
			UserFile:       options.UserFile,
			PasswordFile:   options.PasswordFile,
			Database:       options.Database,
			Prefix:         options.Prefix,
		})
		return connection{store}, err
	})
	if err != nil {
		return nil, "", err
	}
	shared, ok := value.(connection)
	if !ok {
		return nil, "", fmt.Errorf("the pool holds a %T", value) // Not reached.
	}
	return shared, key, nil
}

// disconnect returns a store to the pool. An empty key does nothing.
func disconnect(key string) error {
	if key == "" {
		return nil
	}
	_, err := connections.Delete(key)
	return err
}

// config returns the configuration of TLS, or nil without TLS. It also returns
// a digest of the authorities: a reload after they have changed connects anew.
func (t *TLS) config() (*tls.Config, []byte, error) {
	if t == nil {
		return nil, nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CertificateFile != "" {
		certificate, err := passport.NewClientCertificate(t.CertificateFile, t.KeyFile)
		if err != nil {
			return nil, nil, fmt.Errorf("client_certificate: %w", err)
		}
		config.GetClientCertificate = certificate.GetClientCertificate
	}
	if len(t.TrustedCACerts) == 0 {
		return config, nil, nil
	}
	digest := sha256.New()
	config.RootCAs = x509.NewCertPool()
	for _, file := range t.TrustedCACerts {
		content, err := os.ReadFile(file) //nolint:gosec // The configuration names the file.
		if err != nil {
			return nil, nil, fmt.Errorf("trusted_ca_certs: %w", err)
		}
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, nil, errors.New("trusted_ca_certs: " + file + " has no certificate in PEM")
		}
		_, _ = digest.Write(content) // A hash never fails.
	}
	return config, digest.Sum(nil), nil
}
