// SPDX-License-Identifier: Apache-2.0

// Command caddy is a Caddy with the standard modules and the Pismo plugin.
// Use it to try the plugin; build your own server with xcaddy, which takes the
// other plugins that you need:
//
//	xcaddy build --with github.com/pismoauth/pismoauth/caddyplugin
//
// go install refuses this command at a version, because its go.mod has a
// replace directive.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/pismoauth/pismoauth/caddyplugin"
)

func main() {
	caddycmd.Main()
}
