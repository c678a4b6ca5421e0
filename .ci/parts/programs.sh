# SPDX-License-Identifier: Apache-2.0

# Runs the programs that users run first.

# smoke builds a Caddy like its users, without a checksum database. It checks
# that the binary has the plugin.
smoke() {
  git check-ignore -q caddy # where it would be without an argument
  GOSUMDB='sum.golang.org http://127.0.0.1:1' caddyplugin/xcaddy.sh "$scratch/caddy" >"$scratch/xcaddy" 2>&1 || { cat "$scratch/xcaddy"; return 1; }
  "$scratch/caddy" list-modules | grep -x http.reverse_proxy.transport.pismo
}

tools
step 'xcaddy' smoke
step 'demo: examples/proxy' timeout --kill-after=10 120 go run ./examples/proxy -demo
step 'demo: examples/fleet' timeout --kill-after=10 240 go run -C examples/fleet . -demo
step 'demo: examples/tracing' timeout --kill-after=10 120 go run -C examples/tracing .
