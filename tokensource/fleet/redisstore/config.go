// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/pismoauth/pismoauth/tokensource"
)

const (
	defaultPrefix = "pismo:"
	// ioTimeout bounds how long a connection waits for the server. The calls
	// of package fleet end earlier.
	ioTimeout = time.Second
)

// Config configures a [Store]. Client or Addr is required.
type Config struct {
	_ [0]func() // No unkeyed literals, no comparisons.

	// Client is a client of your own, such as a *redis.Client or a
	// *redis.ClusterClient. Set its MaxRetries to -1: package fleet decides
	// what follows a failure. Set its ContextTimeoutEnabled, so that a server
	// that hangs keeps no connection. A *redis.ClusterClient sends a command
	// again after most failures, as often as its MaxRedirects says; a Store
	// with Addr does not. With Client, only Prefix has an effect beside it.
	Client redis.Scripter

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

	// Prefix begins each key. It has no braces: in a cluster, a brace would
	// decide which keys a server has. Empty means "pismo:".
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
	if strings.ContainsAny(c.Prefix, "{}") {
		faults = append(faults, &tokensource.ConfigError{Field: "Config.Prefix", Reason: "has a brace, which has a meaning in a cluster; use letters, digits and colons"})
	}
	return errors.Join(faults...)
}

// options returns the options of the Store's own client.
func (c *Config) options() *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		Addrs:      c.Addr,
		MasterName: c.SentinelMaster,
		DB:         c.Database,
		TLSConfig:  c.TLS,
		// Package fleet decides what follows a failure, and bounds each call.
		MaxRetries:            -1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		DialTimeout:           ioTimeout,
		ReadTimeout:           ioTimeout,
		WriteTimeout:          ioTimeout,
		// A node of a cluster may say that another one has the slot.
		MaxRedirects: 2,
		// These would need further permissions.
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.PasswordFile != "" {
		o.CredentialsProviderContext = c.credentials
	}
	return o
}

// credentials reads the files. The errors name the field, not the content.
func (c *Config) credentials(context.Context) (user, password string, err error) {
	if password, err = readFile("PasswordFile", c.PasswordFile); err != nil || c.UserFile == "" {
		return "", password, err
	}
	user, err = readFile("UserFile", c.UserFile)
	return user, password, err
}

// readFile returns the content of a file without the white space around it.
func readFile(field, path string) (string, error) {
	content, err := os.ReadFile(path) //nolint:gosec // G304: the caller chooses the file.
	if err != nil {
		return "", fileError(field, err)
	}
	return strings.TrimSpace(string(content)), nil
}
