// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"fmt"

	"github.com/pismoauth/pismoauth/tokensource"
	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// baseURLFault returns the fault in the address of an environment, or "".
func baseURLFault(address string, allowHTTP bool) string {
	checked := &passport.S2S{BaseURL: address, Credentials: passport.EnvCredentials("-", "-"), DangerouslyAllowHTTP: allowHTTP}
	if err, ok := errors.AsType[*tokensource.ConfigError](checked.Validate()); ok {
		return err.Reason
	}
	return ""
}

// validatePartial reports options of a client that are missing or conflict. It
// runs before placeholders are replaced and files are read.
func (c *Client) validatePartial(name string) error {
	if c.BaseURL == "" && c.OpenID != nil {
		return fmt.Errorf("client %s needs base_url", name)
	}
	if c.BaseURL == "" {
		return fmt.Errorf("client %s needs base_url, server_key and server_secret", name)
	}
	if err := c.checkOptions(); err != nil {
		return fmt.Errorf("client %s %w", name, err)
	}
	if !isPlaceholder(c.BaseURL) {
		if fault := baseURLFault(c.BaseURL, c.DangerouslyAllowHTTP); fault != "" {
			return fmt.Errorf("client %s: %w", name, &optionError{"base_url", errors.New(fault)})
		}
	}
	if c.Transport == nil || c.Transport.TLS == nil {
		return nil
	}
	if err := c.checkTrust(c.Transport.TLS); err != nil {
		return fmt.Errorf("client %s: %w", name, err)
	}
	return nil
}
