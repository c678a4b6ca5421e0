# Every test of every module.

step 'Debian package: prometheus' provide prometheus prometheus
step 'Debian package: chromium' provide chromium chromium
for module in $modules; do
  step "go test: $module" tested -C "$module" test -shuffle=on ./...
done
