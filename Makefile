# Everything is built, tested and checked with the same flags: the large dependencies
# are compiled once.
SHELL := /bin/bash
export GOFLAGS := -trimpath -buildvcs=false
export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

OURS  := github.com/anchore/anchore-engine
E2E   := $(OURS)/pkg/e2e
# Packages whose tests link syft: the race detector would compile it a second time.
HEAVY  = $(shell go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... | grep '\.test .*github.com/anchore/syft' | sed 's/\.test .*//')
LIGHT  = $(filter-out $(HEAVY) $(E2E),$(shell go list ./...))
# Packages with benchmarks of single functions.
BENCHED = $(filter-out ./pkg/e2e/ ./pkg/sbom/syft/,$(sort $(dir $(shell grep -rlE '^func Benchmark' --include=*_test.go ./pkg))))
# The race detector needs cgo, and so a C compiler.
RACE  := $(if $(shell command -v $${CC:-gcc} 2>/dev/null),CGO_ENABLED=1 go test -race,go test)

.PHONY: help build test quickstart bench lint generate fuzz clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 16

build: ## build bin/engine and bin/anchore-cli
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test: build ## run all tests, those of the built binaries last
	$(RACE) $(LIGHT)
	go test $(filter-out $(E2E),$(HEAVY))
	ENGINE_BIN=$(CURDIR)/bin/engine ANCHORE_CLI_BIN=$(CURDIR)/bin/anchore-cli go test -count=1 -timeout=30m ./pkg/e2e

quickstart: build ## show the whole story on this machine: registry, analysis, webhooks
	go run ./pkg/quickstart

bench: ## measure, and write docs/benchmarks.md; then the benchmarks of single functions
	go build -ldflags '-s -w $(LDFLAGS)' -o bin/bench/ ./cmd/...
	go run ./pkg/bench -bin bin/bench -out docs/benchmarks.md
	go test -run '^$$' -bench . -benchmem $(BENCHED)

lint: ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l cmd pkg); if [ -n "$$files" ]; then echo "gofmt needed:" $$files; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

generate: ## rewrite the generated files
	go generate ./...

FUZZTIME ?= 10s
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@set -e; grep -rlE '^func Fuzz' --include=*_test.go pkg | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "./$$(dirname "$$file")"; \
		done; \
	done

clean: ## remove what was built
	rm -rf bin dist
