# Every test of every module.

step 'Debian packages' provide prometheus prometheus
for module in $modules; do
  step "go test: $module" tested -C "$module" test -shuffle=on ./...
done
