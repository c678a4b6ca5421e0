# Every test of every module, with the race detector.

step 'Debian packages' provide prometheus prometheus
for module in $modules; do
  step "go test -race: $module" tested -C "$module" test -race -shuffle=on ./...
done
