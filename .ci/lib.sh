# SPDX-License-Identifier: Apache-2.0

# Functions that all parts use. .ci/run sources this file in the root of the
# repository.

scratch=$(mktemp -d)
PATH=$scratch/bin:$PATH
current='set up'
steps=0
left_out=''
policy='' # our file that prevents services from starting, or empty

finish() {
  local status=$?
  chmod -R u+w "$scratch" # a module cache is read-only
  rm -rf "$scratch" ${policy:+"$policy"}
  if ((status != 0)); then
    printf '\nFAILED after %ds (exit %d): %s\n' "$SECONDS" "$status" "$current" >&2
  fi
}
trap finish EXIT

# step prints a heading, runs a command and prints its duration. It does not use
# the command in an if or an ||, because set -e would then have no effect inside
# it.
step() {
  current=$1
  local start=$SECONDS
  printf '\n==> %s\n' "$current"
  "${@:2}"
  printf '    %ds\n' $((SECONDS - start))
  steps=$((steps + 1))
}

# tracked lists the matching files in git, with a NUL after each. It fails if no
# file matches.
tracked() { git ls-files -z --error-unmatch -- "$@"; }

# alone runs a go command in one module, without a go.work of a parent
# directory.
alone() { GOWORK=off go -C "$1" "${@:2}"; }

# tools builds the tools that internal/tools pins, once for all parts.
tools() {
  if [[ ! -e $scratch/bin ]]; then
    step 'build the tools' alone internal/tools build -o "$scratch/bin/" tool
    alone internal/tools/actionlint build -o "$scratch/bin/" tool
  fi
}

# tested runs go test with its arguments, and shows the failures. A skipped test
# is a failure, because it has proved nothing. Tests of Caddy's caddytest skip
# themselves silently under -short and -trimpath.
tested() {
  if ! GOWORK=off go "$@" -v >"$scratch/tests" 2>&1; then
    grep -vE '^ *(=== (RUN|PAUSE|CONT|NAME)|--- PASS)' "$scratch/tests"
    return 1
  fi
  grep -E '^(ok|\?) ' "$scratch/tests" || true
  omit "$(sed -n 's/^.*LEFT OUT: //p' "$scratch/tests")"
  if grep -E '^ *--- SKIP' "$scratch/tests"; then
    echo 'These tests have been skipped.'
    return 1
  fi
}

# omit prints what was left out, and records it for the last line.
omit() {
  if [[ -n $1 ]]; then
    printf 'LEFT OUT: %s\n' "$1"
    [[ $left_out == *"$1"* ]] || left_out+=" $1"
  fi
}

# provide installs a Debian package with a command that tests run. If it cannot
# be installed, these tests say what they leave out. No service of the package
# starts, now or at the next boot.
provide() {
  local package=$1 command=$2
  if command -v "$command" >/dev/null; then
    return 0
  fi
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    printf 'There is no %s. Debian has it in %s, which only root can install.\n' "$command" "$package"
    return 0
  fi
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  if ! debian "$package" >"$scratch/apt" 2>&1; then
    tail -n 3 "$scratch/apt"
    printf '%s cannot be installed.\n' "$package"
  fi
  rm -f ${policy:+"$policy"}
  policy=''
  if command -v systemctl >/dev/null; then
    systemctl disable --now "$package" >/dev/null 2>&1 || true # The package may have no service.
  fi
}

# debian installs a package.
debian() {
  export DEBIAN_FRONTEND=noninteractive
  timeout 120 apt-get update -q &&
    timeout 300 apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=120 "$1"
}

# nothing fails and prints its argument if the argument is not empty.
nothing() {
  if [[ -n $1 ]]; then
    echo 'The checkout has changed:'
    echo "$1"
    return 1
  fi
}

# Every module with packages, as its directory.
current='find the modules'
modules=$(tracked ':(glob)**/go.mod' | xargs -0 -n 1 dirname | grep -vx internal/tools/actionlint | sort)
