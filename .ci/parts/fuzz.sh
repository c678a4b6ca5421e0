# Each fuzz target for a while: FUZZTIME, or twenty seconds.

# fuzz gives one target its time. Before Go 1.27 the engine may take the
# end of its time for a failure (go.dev/issue/75804), which it reports in a line
# without a position. Only then is there a second attempt.
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
