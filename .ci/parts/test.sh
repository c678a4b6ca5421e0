# SPDX-License-Identifier: Apache-2.0

# Runs every test of every module.

step 'Debian package: prometheus' provide prometheus prometheus
step 'Debian package: chromium' provide chromium chromium
step 'Debian package: redis-server' provide redis-server redis-server
for module in $modules; do
  step "go test: $module" tested -C "$module" test -shuffle=on ./...
done
