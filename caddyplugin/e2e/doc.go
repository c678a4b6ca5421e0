// Package e2e tests the server as it is run: the binary of cmd/caddy in a
// process of its own, configured by Caddyfiles, between clients and fakes of
// the platform that are in the process of the test. The binary is built once
// per run, with the race detector; a race it finds fails the test.
//
// Everything is on loopback, and each server has directories of its own: nobody
// else's configuration is read or written.
package e2e
