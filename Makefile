# Two commands for everybody: `make run` and `make test`. `make help` lists all.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

NODE_MODULES := node_modules/.package-lock.json
CONSUMERS := api-tests/consumers
# The folder of the linters from PyPI, and all Bash scripts.
LINTERS = $$(scripts/venv scripts/lint/requirements.txt)/bin
BASH_SCRIPTS = $$(grep -rlIE --exclude-dir=.git --exclude-dir=node_modules --exclude-dir=target '^\#!.*bash$$' .)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: ## Serve on SQLite without any configuration, and print the next steps
	@scripts/require cargo cc
	cargo run -- dev

.PHONY: demo
demo: ## Serve with a front end where people can sign up, and print its address
	@scripts/require cargo cc curl node
	examples/web/demo

# Many tests do little but wait, so two run for each core.
.PHONY: test
test: ## Run all tests; installs missing programs (with apt, as root)
	@scripts/require buildah cargo cc chromium curl debootstrap dpkg-shlibdeps git haproxy ip kill luacheck node postgres prometheus \
		python3 shellcheck strace strip systemd-analyze unshare venv wrk
	rm -rf target/traffic
	$(MAKE) lint
	api-tests/released/build
	RUST_TEST_THREADS=$$(($$(nproc) * 2)) cargo test
	cargo run --quiet --bin unseen
	bench/load --smoke --server target/debug/todo-api
	npm run build --workspace client --workspace examples/web
	npm run check --workspace examples/web
	node contract/check.js
	npm test --workspace client --workspace api-tests
	api-tests/clients/test
	api-tests/released/clients
	deploy/test

$(NODE_MODULES): package-lock.json package.json api-tests/package.json client/package.json examples/web/package.json
	@scripts/require node
	npm ci

.PHONY: lint
lint: $(NODE_MODULES) ## Check the format, style and spelling of all sources; installs the linters
	@scripts/require cargo cc clippy luacheck python3 rustfmt shellcheck venv
	cargo fmt --all --check
	cargo fmt --manifest-path api-tests/clients/rust/Cargo.toml --check
	node_modules/.bin/biome ci --error-on-warnings
	$(LINTERS)/ruff format --check
	$(LINTERS)/ruff check
	$(LINTERS)/shfmt --diff $(BASH_SCRIPTS)
	shellcheck $(BASH_SCRIPTS)
	$(LINTERS)/clang-format --dry-run --Werror api-tests/faults.c
	luacheck --quiet bench/load.lua
	$(LINTERS)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*
	$(LINTERS)/typos
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: format
format: $(NODE_MODULES) ## Rewrite all sources in the format that `make lint` checks
	@scripts/require cargo python3 rustfmt venv
	cargo fmt --all
	cargo fmt --manifest-path api-tests/clients/rust/Cargo.toml
	node_modules/.bin/biome check --write --linter-enabled=false
	$(LINTERS)/ruff check --quiet --select I --fix
	$(LINTERS)/ruff format
	$(LINTERS)/shfmt --write $(BASH_SCRIPTS)
	$(LINTERS)/clang-format -i api-tests/faults.c

.PHONY: deny
deny: ## Check the crates: licences, sources and known vulnerabilities; builds cargo-deny once
	@scripts/require cargo cc
	cargo install --quiet --locked --root target/tools --version 0.20.2 cargo-deny
	target/tools/bin/cargo-deny check
	target/tools/bin/cargo-deny --config deny.toml --manifest-path api-tests/clients/rust/Cargo.toml check advisories bans sources

.PHONY: release
release: ## Build what is released into target/release-files: the program, a Debian package, an SBOM and checksums
	@scripts/require cargo cc dpkg-shlibdeps git python3 strip
	scripts/release

.PHONY: reproducible
reproducible: ## Build the program of the last commit in two folders, and compare the two; takes two release builds
	@scripts/require cargo cc
	scripts/reproducible

.PHONY: fuzz
fuzz: ## Fuzz everything that reads text from outside: libFuzzer, a minute for each kind of text
	@scripts/require cargo c++ cc
	fuzz/run

.PHONY: openapi
openapi: ## Regenerate openapi.yaml from the annotated types
	cargo run --quiet -- openapi > openapi.yaml.new
	mv openapi.yaml.new openapi.yaml

.PHONY: client
client: $(NODE_MODULES) ## Regenerate the types of the TypeScript client from openapi.yaml
	npm run generate --workspace client

.PHONY: conformance
conformance: ## Test the server against its document, with ten times the requests of `make test`
	@scripts/require cargo cc postgres python3 venv
	CONFORMANCE_EXAMPLES=500 cargo test --test conformance -- --nocapture

.PHONY: consumers
consumers: $(NODE_MODULES) $(CONSUMERS)/$(NODE_MODULES) ## Call all operations through clients that ten generators make from the document
	@scripts/require cargo cc node python3 venv
	cargo build --bin todo-api
	$(CONSUMERS)/test

$(CONSUMERS)/$(NODE_MODULES): $(CONSUMERS)/package-lock.json $(CONSUMERS)/package.json
	npm ci --prefix $(CONSUMERS)

.PHONY: bench
bench: ## Measure throughput, latencies, CPU time and memory on both databases, and the cost of a deep page
	@scripts/require cargo cc postgres python3 wrk
	cargo build --release --package todo-api
	cargo build --release --package peers
	bench/load --by-hand
	bench/pages

.PHONY: bench-check
bench-check: ## Count instructions per request; fails if a count is 3 % above bench/instructions/figures.json
	@scripts/require cargo cc python3 valgrind
	bench/instructions/check

.PHONY: soak
soak: ## Run the server for an hour under load with faults on both databases; fails if it loses a write or leaks
	@scripts/require cargo cc postgres python3 unshare
	cargo build --release --package todo-api
	bench/soak
