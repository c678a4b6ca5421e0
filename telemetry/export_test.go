// SPDX-License-Identifier: Apache-2.0

package telemetry

// WithVersion sets the version of the scope. The build of a test has no
// version.
func WithVersion(version string) Option { return func(c *config) { c.version = version } }

// Version returns the version of this module in a program.
var Version = version
