# Formatting, linters, requirements, and that ordinary commands change nothing.

# formatted relies on gofmt -d failing where it has something to show.
formatted() { tracked '*.go' | xargs -0 gofmt -d; }

# pristine clones what is committed, and fails if ordinary commands change it.
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

# updated fails if dependabot does not know a module.
updated() {
  diff <(tracked ':(glob)**/go.mod' | xargs -0 -n 1 dirname | sed 's,^\.$,,; s,^,/,' | sort) \
    <(sed -n 's/^ *- \(\/.*\)$/\1/p' .github/dependabot.yml | sort)
}

lint() { (cd "$1" && GOWORK=off golangci-lint run); }

step 'gofmt' formatted
step 'clean clone' pristine

for module in $modules internal/tools/actionlint; do
  step "go mod tidy: $module" alone "$module" mod tidy -diff
done

tools
step 'actionlint' actionlint
step 'dependabot' updated
step 'golangci-lint config' golangci-lint config verify
for module in $modules; do
  step "go vet: $module" alone "$module" vet ./...
  step "golangci-lint: $module" lint "$module"
done
