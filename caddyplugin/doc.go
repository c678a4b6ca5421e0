// Package caddyplugin makes Caddy an authenticated client of the Pismo banking
// platform.
package caddyplugin
