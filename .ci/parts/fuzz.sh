# SPDX-License-Identifier: Apache-2.0

# Runs each fuzz target for FUZZTIME, or for twenty seconds.

# fuzz runs one target. Before Go 1.27 the engine may report the end of its time
# as a failure (go.dev/issue/75804), in a line without a position. Only then
# does fuzz run the target again.
fuzz() {
  local attempt=(alone "$1" test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-20s}")
  if ! "${attempt[@]}" | tee "$scratch/fuzz"; then
    grep -qx ' *context deadline exceeded' "$scratch/fuzz"
    "${attempt[@]}"
  fi
}

# Every fuzz target, as file:name.
current='find the fuzz targets'
targets=$(tracked '*_test.go' |
  xargs -0 grep -oH '^func Fuzz[^(]*([^)]*testing\.F)' |
  sed 's/:func \([^(]*\).*/:\1/')

for target in $targets; do
  step "fuzz: $target" fuzz "$(dirname "${target%:*}")" "${target##*:}"
done
