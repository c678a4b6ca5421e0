# Commands for developers. .ci/run has the checks that every change must pass.

# Every module with packages, as its directory.
modules := $(sort $(patsubst %/go.mod,%,$(filter-out ./internal/tools/actionlint/go.mod,$(shell find . -name go.mod))))

export GOWORK := off

.PHONY: help
help: ## Show this help
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: check
check: ## Run all checks that a change must pass, like the CI
	.ci/run

.PHONY: test
test: ## Run every test of every module
	@status=0; for module in $(modules); do \
		echo "# $$module"; (cd $$module && go test ./...) || status=1; \
	done; exit $$status

.PHONY: lint
lint: ## Run the linters on every module
	@mkdir -p .bin && (cd internal/tools && go build -o ../../.bin/ tool)
	@status=0; for module in $(modules); do \
		echo "# $$module"; (cd $$module && $(CURDIR)/.bin/golangci-lint run) || status=1; \
	done; exit $$status

.PHONY: fuzz
fuzz: ## Fuzz the parser of token responses for a minute
	go test -run '^$$' -fuzz '^FuzzAnswer$$' -fuzztime 1m ./tokensource/passport

.PHONY: bench
bench: ## Measure the figures of docs/benchmarks.md and draw its charts
	go -C internal/bench run ./figures
	go -C internal/bench run ./plots -measure

.PHONY: docs
docs: ## Check the documents: links to tests, tables, requirements
	go test . ./telemetry

.PHONY: demo
demo: ## Demonstrate the proxy
	go run ./examples/proxy -demo
