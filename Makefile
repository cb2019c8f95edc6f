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

.PHONY: test
test: ## Run every test there is; installs what is missing (through apt, as root)
	@scripts/require cargo cc curl haproxy kill postgres unshare
	$(MAKE) lint
	cargo test --workspace

.PHONY: lint
lint: ## Check the formatting, and what clippy has to say
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: openapi
openapi: ## Write openapi.yaml anew from the annotated types
	cargo run --quiet -- openapi > openapi.yaml.new
	mv openapi.yaml.new openapi.yaml

.PHONY: bench
bench: ## Measure: what a deep page costs beside the first
	@scripts/require cargo cc python3
	cargo build --release
	bench/pages
