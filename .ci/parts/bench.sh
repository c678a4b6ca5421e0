# SPDX-License-Identifier: Apache-2.0

# Runs each benchmark once, to check that it works.

step 'benchmarks, once' alone internal/bench test -run '^$' -bench . -benchtime 1x ./...
