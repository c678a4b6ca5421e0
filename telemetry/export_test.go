package telemetry

// WithVersion has the scope be of a version, which the build of a test has none
// of.
func WithVersion(version string) Option { return func(c *config) { c.version = version } }

// Version is the version of this module in a program.
var Version = version
