# SPDX-License-Identifier: Apache-2.0

# Checks formatting, linters, requirements and spelling. Also checks that
# ordinary commands change nothing.

# formatted relies on gofmt -d, which fails if it prints a difference.
formatted() { tracked '*.go' | xargs -0 gofmt -d; }

# pristine clones the commit, and fails if ordinary commands change the clone.
pristine() {
  git clone -q . "$scratch/clone"
  (
    cd "$scratch/clone"
    export GOWORK=off
    go doc ./transport >/dev/null
    go doc ./tokensource.Source >/dev/null
    go vet ./...
    nothing "$(git status --porcelain)"
  )
  rm -rf "$scratch/clone"
}

# updated fails if dependabot.yml does not list a module.
updated() {
  diff <(tracked ':(glob)**/go.mod' | xargs -0 -n 1 dirname | sed 's,^\.$,,; s,^,/,' | sort) \
    <(sed -n 's/^ *- \(\/.*\)$/\1/p' .github/dependabot.yml | sort)
}

# spelled checks the spelling of documents, code and comments. It skips
# documents of other projects and testdata.
spelled() {
  if ! command -v codespell >/dev/null; then
    omit 'THE SPELL CHECKER, WITHOUT codespell.'
    return
  fi
  tracked '*.md' '*.go' '*.sh' '*.yml' '*.yaml' '*.html' '*.css' '*.js' Makefile .ci \
    ':!*/testdata/*' ':!examples/integrations/openapi' | xargs -0 codespell --config .ci/codespell
}

# misspelt fails if the spell checker accepts a misspelt word.
misspelt() {
  printf 'Who rec%sves a token?\n' ie >"$scratch/misspelt.md" # in two pieces, for the check above
  if command -v codespell >/dev/null && codespell --config .ci/codespell "$scratch/misspelt.md"; then
    echo 'codespell has not found it.'
    return 1
  fi
}

lint() { (cd "$1" && GOWORK=off golangci-lint run); }

step 'gofmt' formatted
step 'clean clone' pristine

for module in $modules internal/tools/actionlint; do
  step "go mod tidy: $module" alone "$module" mod tidy -diff
done

step 'SPDX lines' .ci/spdx
provide codespell codespell
step 'spelling' spelled
step 'spelling finds faults' misspelt

tools
step 'actionlint' actionlint
step 'dependabot' updated
step 'golangci-lint config' golangci-lint config verify
for module in $modules; do
  step "go vet: $module" alone "$module" vet ./...
  step "golangci-lint: $module" lint "$module"
done
