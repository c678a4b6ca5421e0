// Package telemetry makes OpenTelemetry spans and metrics of what happens to
// tokens.
package telemetry
