#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds a Caddy with the plugin from this checkout:
#
#	caddyplugin/xcaddy.sh [output]
#
# It needs xcaddy on the PATH. Add --with for other plugins as in the command
# below. It takes minutes the first time.
#
# The modules of this repository may not be published at this commit, so xcaddy
# looks nothing up: it takes all modules from the module cache. Those were
# checked against go.sum when they were downloaded, so that no checksum database
# has to be reachable either.

set -eu
output=${1:-caddy}
case $output in
/*) ;;
*) output=$PWD/$output ;;
esac
cd "$(dirname "$0")/.."

if ! command -v xcaddy >/dev/null; then
  echo 'xcaddy.sh: there is no xcaddy on the PATH; get it with' >&2
  echo '  go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest' >&2
  echo 'and add the directory that go env GOPATH names, with /bin, to the PATH' >&2
  exit 1
fi

version=$(GOWORK=off go -C caddyplugin list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
GOWORK=off go -C caddyplugin mod download
GOPROXY=off GOSUMDB=off xcaddy build "$version" --output "$output" \
  --with github.com/pismoauth/pismoauth/caddyplugin=./caddyplugin \
  --replace github.com/pismoauth/pismoauth=.
