# SPDX-License-Identifier: Apache-2.0

# Finds known vulnerabilities that the code reaches. GOVULNDB can name a
# database other than vuln.go.dev.

# vulnerable ignores one failure of govulncheck: an unreachable database.
vulnerable() {
  local status=0
  GOWORK=off govulncheck ${GOVULNDB:+-db "$GOVULNDB"} -C "$1" ./... 2>"$scratch/govulncheck" || status=$?
  cat "$scratch/govulncheck"
  if grep -q '^govulncheck: fetching vulnerabilities: ' "$scratch/govulncheck"; then
    omit 'govulncheck. Its database cannot be reached.'
    return 0
  fi
  return "$status"
}

tools
for module in $modules; do
  step "govulncheck: $module" vulnerable "$module"
done
