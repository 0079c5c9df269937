# memgate: `make run` starts everything, `make help` lists the rest.
# Needs Go, make, bash and Python with pip. Everything fetched or built goes
# to .tools/ and build/, both ignored by git.

SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOBUILD  = CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=$(VERSION)"
GOTOOL   = go tool -modfile=tools/go.mod
# The folders with Go code.
SOURCES  = filter wasm envoy memory-backend e2e

.PHONY: help
help: ## list the targets
	@echo "memgate: a security edge behind Envoy, and a memory service for agents"
	@echo
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: go envoy build ## build everything and start it on http://127.0.0.1:8080 (MEMGATE_PORT changes the port)
	@envoy=$$(tools/envoy.sh) && ENVOY=$$envoy exec build/memgate dev

.PHONY: test
test: build ## run all tests: unit, fuzz seeds, golden files, and end to end through a real Envoy
	@tools/test.sh

.PHONY: test-mesh
test-mesh: build ## run the edge through the control planes of meshes (builds Istio's and Envoy Gateway's; takes minutes)
	@tools/test-mesh.sh

.PHONY: lint
lint: go ## check format, vet, staticcheck, secrets in tree and history, known vulnerabilities
	@tools/lint.sh

.PHONY: bench
bench: build ## measure memgate against its budgets and its peers (BENCH=short for less)
	@tools/bench.sh

.PHONY: quality
quality: go ## print precision and recall of each entity, beside Presidio's on the same text, and of the rules for planted instructions
	@tools/quality.sh

.PHONY: render
render: build ## rewrite the generated files: Envoy configuration, schema, reference, golden files
	@tools/render.sh

.PHONY: build
build: build/memgate build/memory-backend build/memgate.wasm ## build memgate, memory-backend and memgate.wasm into build/

# Go decides by itself what must be compiled again.
.PHONY: build/memgate build/memory-backend build/memgate.wasm
build/memgate: go
	$(GOBUILD) -o $@ ./filter/cmd/memgate
build/memory-backend: go
	$(GOBUILD) -o $@ ./memory-backend/cmd/memory-backend
build/memgate.wasm: go
	GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -buildmode=c-shared -ldflags="-s -w" -o $@ ./wasm

.PHONY: images
images: build ## pack what was built into container images with SBOMs, as an OCI layout in build/images
	@cd deploy/images && go run . -from ../../build -to ../../build/images -version "$(VERSION)"

.PHONY: compose
compose: go ## build the container images, make an API key, and start docker-compose.yml
	@deploy/compose/prepare.sh
	@if docker compose version >/dev/null 2>&1; then exec docker compose up --build; else exec docker-compose up --build; fi

.PHONY: clean
clean: ## remove what was built and fetched, and the development state in .run/
	rm -rf build .tools .run

.PHONY: envoy
envoy:
	@tools/envoy.sh >/dev/null

.PHONY: go
go:
	@command -v go >/dev/null || { echo "memgate: Go 1.26 or newer is needed; install it from https://go.dev/dl/" >&2; exit 1; }
