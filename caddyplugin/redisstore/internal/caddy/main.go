// SPDX-License-Identifier: Apache-2.0

// Command caddy is a Caddy with the standard modules, the Pismo plugin and its
// store in Redis, for the tests of this module.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/pismoauth/pismoauth/caddyplugin"
	_ "github.com/pismoauth/pismoauth/caddyplugin/redisstore"
)

func main() {
	caddycmd.Main()
}
