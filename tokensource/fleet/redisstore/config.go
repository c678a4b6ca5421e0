// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	defaultPrefix = "pismo:"
	// writeTimeout bounds how long a connection waits for an answer, for a
	// server that hangs. The calls of package fleet end earlier.
	writeTimeout = time.Second
)

// Config configures a [Store]. Client or Addr is required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Client is a client of your own, for example for a cluster or for
	// Sentinel. It should have DisableRetry: package fleet decides what
	// follows a failure. With Client, only Prefix has an effect beside it.
	Client rueidis.Client

	// Addr are addresses of servers, as host:port. More than one means a
	// cluster, or the sentinels if SentinelMaster is set.
	Addr []string

	// SentinelMaster is the name of the master that the sentinels watch.
	SentinelMaster string

	// TLS encrypts the connections. It may have a client certificate. Nil
	// means no encryption. The values are sealed in any case, but the
	// password is not.
	TLS *tls.Config

	// UserFile and PasswordFile hold the name of an ACL user and its
	// password. The Store reads them for each connection. Without them it
	// does not authenticate.
	UserFile, PasswordFile string

	// Database is the number of the database. A cluster has only 0.
	Database int

	// Prefix begins each key. Empty means "pismo:".
	Prefix string
}

// validate returns every fault in the configuration.
func (c *Config) validate() error {
	var faults []error
	if c.Client == nil && len(c.Addr) == 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Addr", Reason: "is not set, and neither is Config.Client; set one of them"})
	}
	if c.UserFile != "" && c.PasswordFile == "" {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.PasswordFile", Reason: "is not set, but Config.UserFile is"})
	}
	if c.Database < 0 {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Database", Reason: "is negative"})
	}
	return errors.Join(faults...)
}

// options returns the options of the Store's own client.
func (c *Config) options() rueidis.ClientOption {
	o := rueidis.ClientOption{
		InitAddress:       c.Addr,
		TLSConfig:         c.TLS,
		SelectDB:          c.Database,
		DisableRetry:      true,
		DisableCache:      true,
		ClientSetInfo:     rueidis.DisableClientSetInfo, // It would need a permission.
		ForceSingleClient: len(c.Addr) == 1 && c.SentinelMaster == "",
		ConnWriteTimeout:  writeTimeout,
		Sentinel:          rueidis.SentinelOption{MasterSet: c.SentinelMaster, TLSConfig: c.TLS},
	}
	o.Dialer.Timeout = writeTimeout
	if c.PasswordFile != "" {
		o.AuthCredentialsFn = c.credentials
	}
	return o
}

// credentials reads the files. The errors name the field, not the content.
func (c *Config) credentials(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
	password, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return rueidis.AuthCredentials{}, err
	}
	var user []byte
	if c.UserFile != "" {
		if user, err = os.ReadFile(c.UserFile); err != nil {
			return rueidis.AuthCredentials{}, err
		}
	}
	return rueidis.AuthCredentials{Username: strings.TrimSpace(string(user)), Password: strings.TrimSpace(string(password))}, nil
}
