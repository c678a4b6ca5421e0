# What the parts share. .ci/run sources it, in the root of the repository.

scratch=$(mktemp -d)
PATH=$scratch/bin:$PATH
current='set up'
steps=0
left_out=''
policy='' # the file that keeps services from starting, if it is ours

finish() {
  local status=$?
  chmod -R u+w "$scratch" # a module cache is read-only
  rm -rf "$scratch" ${policy:+"$policy"}
  if ((status != 0)); then
    printf '\nFAILED after %ds (exit %d): %s\n' "$SECONDS" "$status" "$current" >&2
  fi
}
trap finish EXIT

# step runs a command under a heading and says how long it took. It does so
# plainly: behind an if or an ||, the set -e above would not hold inside of it.
step() {
  current=$1
  local start=$SECONDS
  printf '\n==> %s\n' "$current"
  "${@:2}"
  printf '    %ds\n' $((SECONDS - start))
  steps=$((steps + 1))
}

# tracked lists the files in git that match, NUL after each; none is an error.
tracked() { git ls-files -z --error-unmatch -- "$@"; }

# alone runs a go command in one module as its users have it, without a go.work
# of the directories above.
alone() { GOWORK=off go -C "$1" "${@:2}"; }

# tools builds the tools that internal/tools pins, once for all parts.
tools() {
  if [[ ! -e $scratch/bin ]]; then
    step 'build the tools' alone internal/tools build -o "$scratch/bin/" tool
    alone internal/tools/actionlint build -o "$scratch/bin/" tool
  fi
}

# tested runs go test with these arguments, and shows what failed. A test that
# skips itself is a failure: what did not run has proved nothing, and that of
# Caddy's caddytest do so silently under -short and -trimpath.
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

# omit notes what was left out, for the last line, and says so at once.
omit() {
  if [[ -n $1 ]]; then
    printf 'LEFT OUT: %s\n' "$1"
    [[ $left_out == *"$1"* ]] || left_out+=" $1"
  fi
}

# provide installs a package of Debian's that has a command which tests run. Where
# that is impossible, these tests say what they leave out. No service of the
# package is started, neither now nor when the machine starts the next time.
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
    systemctl disable --now "$package" >/dev/null 2>&1 || true # It may have no service.
  fi
}

# debian installs a package.
debian() {
  export DEBIAN_FRONTEND=noninteractive
  timeout 120 apt-get update -q &&
    timeout 300 apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=120 "$1"
}

# nothing fails if its argument is not empty, and shows it.
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
