// SPDX-License-Identifier: Apache-2.0

// Package redisstore adds "store redis" to the Caddy plugin: several Caddys
// share the tokens of a client in Redis or Valkey. Build it in:
//
//	xcaddy build --with github.com/pismoauth/pismoauth/caddyplugin \
//		--with github.com/pismoauth/pismoauth/caddyplugin/redisstore
//
// A client uses it with the option store:
//
//	store redis {
//		address            <host:port...>
//		sentinel_master    <name>
//		user_file          <file>
//		password_file      <file>
//		database           <number>
//		prefix             <text>
//		tls
//		tls_server_name    <name>
//		trusted_ca_certs   <pem_files...>
//		client_certificate <cert_file> <key_file>
//	}
//
// Each option is described at the field of [Store] that it sets. Read store.go
// first, then caddyfile.go and connection.go.
package redisstore

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/pismoauth/pismoauth/caddyplugin"
	"github.com/pismoauth/pismoauth/tokensource/fleet"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// Store shares tokens in Redis or Valkey. It connects when the first token is
// issued: a server that cannot be reached never keeps Caddy from starting, and
// costs no request. Placeholders in the options are replaced when the
// configuration is loaded. Stores with the same options share one connection,
// which a reload keeps.
//
// The server sees no token, no account and no credential. It needs no
// persistence. The documentation of package tokensource/fleet/redisstore lists
// the permissions that the user needs.
type Store struct {
	// The addresses of the servers, as host:port. More than one means a cluster,
	// or the sentinels if there is `sentinel_master`. Required.
	Address []string `json:"address,omitempty"`

	// The name of the master that the sentinels watch. Default: none.
	SentinelMaster string `json:"sentinel_master,omitempty"`

	// The file with the name of the ACL user. It is read for each connection.
	// Default: the server's default user.
	UserFile string `json:"user_file,omitempty"`

	// The file with the password. It is read for each connection, so a new
	// password needs no reload. Default: no authentication.
	PasswordFile string `json:"password_file,omitempty"`

	// The number of the database. A cluster has only 0. Default: 0.
	Database int `json:"database,omitempty"`

	// The beginning of each key. The permissions of the user must allow it.
	// Default: `pismo:`.
	Prefix string `json:"prefix,omitempty"`

	// Encrypts the connections. Default: none, or with its defaults if another
	// option for TLS is set. Without TLS, the password crosses the network in the
	// clear, and Caddy logs a warning unless the server is on loopback.
	TLS *TLS `json:"tls,omitempty"`

	fleet.Store `json:"-"`

	key string // of the shared connection
}

// TLS configures the encryption of the connections.
type TLS struct {
	// The name that the certificate of the server must prove. Default: the host
	// of the address.
	ServerName string `json:"server_name,omitempty"`

	// PEM files with the certificate authorities to trust. They are read when the
	// configuration is loaded. Default: the authorities of the system.
	TrustedCACerts []string `json:"trusted_ca_certs,omitempty"`

	// The PEM file with the client certificate. It is read again when it changes.
	CertificateFile string `json:"certificate_file,omitempty"`

	// The PEM file with the key of the client certificate.
	KeyFile string `json:"key_file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "pismo.stores.redis",
		New: func() caddy.Module { return new(Store) },
	}
}

// Provision sets up the store. It contacts no server.
func (s *Store) Provision(ctx caddy.Context) error {
	resolved, err := s.resolve(caddy.NewReplacer())
	if err != nil {
		return err
	}
	if err := resolved.validate(); err != nil {
		return err
	}
	resolved.warn(ctx.Slogger())
	s.Store, s.key, err = connect(resolved)
	return err
}

// Cleanup closes the connection, unless another configuration uses it.
func (s *Store) Cleanup() error { return disconnect(s.key) }

// resolve returns a copy with the placeholders replaced.
func (s *Store) resolve(repl *caddy.Replacer) (*Store, error) {
	resolved := &Store{
		Address:        slices.Clone(s.Address),
		SentinelMaster: s.SentinelMaster,
		UserFile:       s.UserFile,
		PasswordFile:   s.PasswordFile,
		Database:       s.Database,
		Prefix:         s.Prefix,
	}
	texts := map[string][]*string{
		"sentinel_master": {&resolved.SentinelMaster},
		"user_file":       {&resolved.UserFile},
		"password_file":   {&resolved.PasswordFile},
		"prefix":          {&resolved.Prefix},
	}
	for i := range resolved.Address {
		texts["address"] = append(texts["address"], &resolved.Address[i])
	}
	if s.TLS != nil {
		t := *s.TLS
		t.TrustedCACerts = slices.Clone(t.TrustedCACerts)
		resolved.TLS = &t
		texts["tls_server_name"] = []*string{&t.ServerName}
		texts["client_certificate"] = []*string{&t.CertificateFile, &t.KeyFile}
		for i := range t.TrustedCACerts {
			texts["trusted_ca_certs"] = append(texts["trusted_ca_certs"], &t.TrustedCACerts[i])
		}
	}
	var faults []error
	for option, values := range texts {
		for _, text := range values {
			replaced, err := repl.ReplaceOrErr(*text, true, true)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", option, err))
			}
			*text = replaced
		}
	}
	return resolved, errors.Join(faults...)
}

// validate returns the fault in resolved options. The texts do not repeat an
// address, since an address of another form may contain a password.
func (s *Store) validate() error {
	switch {
	case len(s.Address) == 0:
		return errors.New("address: is not set; give host:port")
	case s.UserFile != "" && s.PasswordFile == "":
		return errors.New("user_file: is set, but password_file is not")
	case s.Database < 0:
		return errors.New("database: is negative")
	case s.TLS != nil && (s.TLS.CertificateFile == "") != (s.TLS.KeyFile == ""):
		return errors.New("client_certificate: needs two files: the certificate and its key")
	}
	for _, address := range s.Address {
		if !isAddress(address) {
			return errAddress
		}
	}
	return nil
}

var errAddress = errors.New("address: is not host:port, such as redis.internal:6379; the password is in password_file, and TLS is the option tls")

// isAddress reports whether an address has a host and a port, and nothing else.
func isAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0
}

// warn logs what an operator should mend. The client works without the store
// until then.
func (s *Store) warn(log *slog.Logger) {
	for option, file := range map[string]string{"user_file": s.UserFile, "password_file": s.PasswordFile} {
		if file == "" {
			continue
		}
		if _, err := os.ReadFile(file); err != nil { //nolint:gosec // The configuration names the file.
			log.Warn("a file of the token store cannot be read", slog.String("option", option), slog.Any("error", err))
		}
	}
	if s.TLS == nil && s.PasswordFile != "" && slices.ContainsFunc(s.Address, isRemote) {
		log.Warn("the password of the token store crosses the network in the clear; set tls")
	}
}

// isRemote reports whether an address is not one of this machine's own.
func isRemote(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// Interface guards.
var (
	_ caddyplugin.Store  = (*Store)(nil)
	_ caddy.Provisioner  = (*Store)(nil)
	_ caddy.CleanerUpper = (*Store)(nil)
)
