# SPDX-License-Identifier: Apache-2.0

# Runs every test of every module with the race detector.

step 'Debian package: prometheus' provide prometheus prometheus
step 'Debian package: chromium' provide chromium chromium
step 'Debian package: redis-server' provide redis-server redis-server
for module in $modules; do
  step "go test -race: $module" tested -C "$module" test -race -shuffle=on ./...
done
