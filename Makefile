# Every command of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Node 24 from npm's package, ahead of whatever the machine has.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
MODULES := node_modules/.package-lock.json

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The machine's own npm fetches only Node 24 and an npm to go with it: one that runs on an older Node, such as Debian 12's,
# leaves out every optional package that wants a newer one, and with them the programs that tests run on.
TOOLCHAIN := .build/toolchain/node_modules
ARCH := $(shell uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
NODE_VERSION = $(shell sed -n 's/.*"node-linux-$(ARCH)": "\(.*\)".*/\1/p' package.json)
NPM_VERSION := 11.19.1

$(MODULES): package-lock.json package.json $(wildcard */package.json)
	@echo "Installing Node $(NODE_VERSION) and the npm packages (about 40 s) ..."
	@npm install --prefix .build/toolchain --no-save --no-package-lock --no-fund --no-audit --loglevel=error node-linux-$(ARCH)@$(NODE_VERSION) npm@$(NPM_VERSION)
	@# A registry or an authority that this machine's npm is told of holds for the other npm too.
	@npm_config_globalconfig="$$(npm config get globalconfig)" PATH="$(CURDIR)/$(TOOLCHAIN)/node-linux-$(ARCH)/bin:$$PATH" \
	  node $(TOOLCHAIN)/npm/bin/npm-cli.js ci --loglevel=error
	@touch $(MODULES)

.PHONY: setup
setup: $(MODULES) ## Install what a fresh Debian 12 with node, npm, go and make lacks; says what it does
	@node e2e/cluster/setup.ts

.PHONY: setup-tests
setup-tests: $(MODULES) ## The same, and the S3 servers that tests and measurements run against
	@node e2e/cluster/setup.ts --object-stores

.PHONY: generate
generate: $(MODULES) ## Write the CRD, its reference page and its JSON schema from the zod schema
	@node operator/generate.ts

.PHONY: check
check: $(MODULES) ## Types, lint and generated files, nothing that runs long
	@tsc --noEmit
	@biome check .
	@node operator/generate.ts --check

.PHONY: unit
unit: $(MODULES) ## Unit, property, golden, attack and kill tests
	@vitest run --project unit

.PHONY: test
test: setup-tests ## Everything: ends with `N passed, N failed, N skipped`
	@node e2e/ladder/main.ts

.PHONY: images
images: setup ## Build the operator, agent and trainer images from local bundles
	@node e2e/cluster/main.ts images

.PHONY: cluster
cluster: setup ## Bring up a real two-node Kubernetes on this machine
	@node e2e/cluster/main.ts up

.PHONY: cluster-down
cluster-down: $(MODULES) ## Remove that cluster without a trace
	@node e2e/cluster/main.ts down

.PHONY: demo
demo: setup ## The main job: a run that loses its pod again and again, same weights (BACKEND=native: TensorFlow itself)
	@node e2e/demo/main.ts $(if $(filter native,$(BACKEND)),--native)

.PHONY: demo-down
demo-down: $(MODULES) ## Remove what the demo left running
	@node e2e/demo/main.ts down

.PHONY: measure
measure: setup-tests ## Run every measurement (single ones: npm run measure -- NAME)
	@node e2e/measure/main.ts all
