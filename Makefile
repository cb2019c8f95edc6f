# Two commands for everybody: `make run` and `make test`. `make help` lists all.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: ## Serve on SQLite with nothing set up, and say what to do next
	@scripts/require cargo cc
	cargo run -- dev

.PHONY: demo
demo: ## Serve with a front end where people sign up, and say its address
	@scripts/require cargo cc curl node
	examples/web/demo

.PHONY: test
test: ## Run every test there is; installs what is missing (through apt, as root)
	@scripts/require cargo cc chromium curl haproxy kill node postgres python3 unshare venv wrk
	rm -rf target/traffic
	$(MAKE) lint
	cargo test
	cargo run --quiet --bin unseen
	bench/load --smoke --server target/debug/todo-api
	npm ci
	npm run build --workspace client --workspace examples/web
	npm run check --workspace examples/web
	node contract/check.js
	npm test --workspace client --workspace api-tests
	api-tests/clients/test

.PHONY: lint
lint: ## Check the formatting, and what clippy has to say
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: deny
deny: ## Check the crates: licences, sources and known vulnerabilities; builds cargo-deny once
	@scripts/require cargo cc
	cargo install --quiet --locked --root target/tools --version 0.20.2 cargo-deny
	target/tools/bin/cargo-deny check
	target/tools/bin/cargo-deny --config deny.toml --manifest-path api-tests/clients/rust/Cargo.toml check advisories bans sources

.PHONY: openapi
openapi: ## Write openapi.yaml anew from the annotated types
	cargo run --quiet -- openapi > openapi.yaml.new
	mv openapi.yaml.new openapi.yaml

.PHONY: client
client: ## Write the types of the TypeScript client anew from openapi.yaml
	@scripts/require node
	npm ci
	npm run generate --workspace client

.PHONY: conformance
conformance: ## Hold the server against its document with ten times the requests of `make test`
	@scripts/require cargo cc postgres python3 venv
	CONFORMANCE_EXAMPLES=500 cargo test --test conformance -- --nocapture

.PHONY: bench
bench: ## Measure: throughput, latencies, CPU time and memory on both databases, and what a deep page costs
	@scripts/require cargo cc postgres python3 wrk
	cargo build --release --package todo-api
	bench/load
	bench/pages

.PHONY: bench-check
bench-check: ## Count instructions per request, and fail where they are 3 % more than bench/instructions/figures.json says
	@scripts/require cargo cc python3 valgrind
	bench/instructions/check
