# SPDX-License-Identifier: Apache-2.0

# Checks other platforms. The first vet for a platform compiles all
# dependencies, which takes minutes for Caddy. So by default only the root
# module is vetted, and only for Windows. PLATFORMS=all vets every module for
# every platform.

all='windows/amd64 darwin/arm64 freebsd/amd64 linux/arm64 linux/386 linux/s390x'
if [[ ${PLATFORMS:-} == all ]]; then
  for module in $modules; do
    for platform in $all; do
      GOOS=${platform%/*} GOARCH=${platform#*/} step "go vet for $platform: $module" alone "$module" vet ./...
    done
  done
else
  GOOS=windows GOARCH=amd64 step 'go vet for windows/amd64: .' alone . vet ./...
fi

# bits32 runs the root module's tests for 32 bits. Some kernels do not run such
# programs. Then bits32 only vets the tests.
bits32() {
  printf 'package main\n\nfunc main() {}\n' >"$scratch/probe.go"
  GOOS=linux GOARCH=386 go build -o "$scratch/probe" "$scratch/probe.go"
  if [[ $(go env GOOS) == linux ]] && "$scratch/probe" 2>/dev/null; then
    GOARCH=386 tested test ./...
  else
    GOOS=linux GOARCH=386 alone . vet ./...
    omit 'Tests for 32 bits. This machine does not run them.'
  fi
}

step 'go test for linux/386: .' bits32
