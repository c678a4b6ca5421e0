// SPDX-License-Identifier: Apache-2.0

package caddyplugin

import (
	"errors"
	"strings"

	"github.com/pismoauth/pismoauth/tokensource/passport"
)

// errLiteral is the error for a secret that is not a placeholder.
var errLiteral = errors.New("is not one placeholder {env.*} or {file.*}; " +
	"a value that stands in the configuration, as {$VAR} puts it there, ends in autosave.json and in the admin API's /config/")

// secretValue returns the value of a placeholder. It reads the value at each
// call, so that a replaced file takes effect at once.
func secretValue(placeholder string) (passport.SecretFunc, error) {
	if !onePlaceholder(placeholder) {
		return nil, errLiteral
	}
	inner := placeholder[1 : len(placeholder)-1]
	if name, ok := strings.CutPrefix(inner, "env."); ok && name != "" {
		return passport.Env(name), nil
	}
	if path, ok := strings.CutPrefix(inner, "file."); ok && path != "" {
		return passport.File(path), nil
	}
	return nil, errLiteral
}
