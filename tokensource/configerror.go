// SPDX-License-Identifier: Apache-2.0

package tokensource

// A ConfigError is one fault in a configuration. Constructors report all faults
// at once, joined by errors.Join.
type ConfigError struct {
	// Field is the path of the field, as in "Config.Issuer.BaseURL".
	Field string
	// Reason says what is wrong with the field, and what to set. It never
	// holds the value of a secret.
	Reason string
}

// Error returns the field and the reason.
func (e *ConfigError) Error() string { return "pismoauth: " + e.Field + ": " + e.Reason }

// Unwrap returns [ErrMisconfigured].
func (e *ConfigError) Unwrap() error { return ErrMisconfigured }

// Permanent returns true: the configuration has to change.
func (e *ConfigError) Permanent() bool { return true }
