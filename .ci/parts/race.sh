# Every test of every module, with the race detector.

step 'Debian package: prometheus' provide prometheus prometheus
step 'Debian package: chromium' provide chromium chromium
for module in $modules; do
  step "go test -race: $module" tested -C "$module" test -race -shuffle=on ./...
done
