#!/bin/sh
#
# Builds a Caddy with the plugin from this checkout, by xcaddy, which has to be
# on the PATH:
#
#	caddyplugin/xcaddy.sh [output]
#
# Add --with for other plugins as in the command below. The modules of this
# repository may not be published at this commit, so nothing is looked up: what
# is needed is downloaded before. It takes minutes the first time.

set -eu
output=${1:-caddy}
case $output in
/*) ;;
*) output=$PWD/$output ;;
esac
cd "$(dirname "$0")/.."

version=$(GOWORK=off go -C caddyplugin list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
GOWORK=off go -C caddyplugin mod download
GOPROXY=off xcaddy build "$version" --output "$output" \
  --with github.com/pismoauth/pismoauth/caddyplugin=./caddyplugin \
  --replace github.com/pismoauth/pismoauth=.
