# What one does with this repository. `make` alone lists it.
# ARGS goes to the command that a target ends in: make test ARGS="-k lake", make run ARGS="max_timestamps=100".

ARGS ?=
ENV ?= dev
TENANT ?= acme
ESTATE = .venv/bin/lightwork-estate
JOBS ?= check test
CI_LOCAL = .cache/npm/node_modules/.bin/gitlab-ci-local
CI_LOCAL_VERSION = 4.61.1
# The one way the .txt files beside the .in files are made; versions stay as they are unless the .in files ask for others.
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --custom-compile-command "make lock"

# Else each of the many processes that the tests start compiles all that it imports, seconds each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run test test-cluster test-driver cluster-up cluster-down bench preview-offline up preview destroy cost ci-local fmt check lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv, with everything pinned; the other targets call it, and it does nothing when nothing changed
	@sh requirements/install.sh

run: setup ## Run the pipeline windy-city on all cores of this machine
	@echo "run: windy-city, on this machine's cores"
	@.venv/bin/lightwork run windy-city $(ARGS)

test: setup ## Run the fast tests
	@echo "test: tests/unit and tests/infra"
	@.venv/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile tests/unit tests/infra $(ARGS)

test-cluster: setup ## Prove it on real Kubernetes and Argo (Linux, root); TIER=core for the few that every change must pass
	@echo "test-cluster: up, tests/cluster ($(or $(TIER),all)), down"
	@TIER=$(TIER) .venv/bin/python -m tests.cluster test $(ARGS)

test-driver: setup ## Test what deploys the stacks with Pulumi's own engine (no cluster, no account; builds it the first time)
	@echo "test-driver: tests/cluster/test_driver.py"
	@.venv/bin/python -m tests.cluster driver $(ARGS)

cluster-up: setup ## Bring up real Kubernetes and Argo on this machine (Linux, root), and leave it up
	@.venv/bin/python -m tests.cluster up

cluster-down: setup ## Take it down, and put the machine back as it was
	@.venv/bin/python -m tests.cluster down

bench: setup ## Run the benchmarks, each a ratio against a peer measured in the same run
	@echo "bench: this takes some minutes"
	@.venv/bin/python -m bench $(ARGS)

preview-offline: setup ## Print all that an environment and a tenant would be made of, without an account (ENV, TENANT)
	@.venv/bin/python -m infra.preview_offline --env '$(ENV)' --tenant '$(TENANT)'

up: setup ## Deploy one stack: STACK=dev is the estate of dev, STACK=dev.acme a tenant in it (needs `pulumi`)
	@$(ESTATE) up --stack "$(STACK)" $(ARGS)

preview: setup ## Say what `make up` would change (STACK)
	@$(ESTATE) preview --stack "$(STACK)" $(ARGS)

destroy: setup ## Take one stack apart, as far as committed `destroy` entries permit (STACK)
	@$(ESTATE) destroy --stack "$(STACK)" $(ARGS)

cost: setup ## Print what an environment and a tenant cost at list prices, without an account (ENV, TENANT)
	@$(ESTATE) cost --env "$(ENV)" --tenant "$(TENANT)" $(ARGS)
ci-local: setup ## Run jobs of .gitlab-ci.yml on this machine, without GitLab (Node 20, rsync; JOBS="check test")
	@for tool in npm rsync; do command -v $$tool >/dev/null || { echo "ci-local: $$tool is missing: install it first" >&2; exit 2; }; done
	@test -x $(CI_LOCAL) || { echo "ci-local: installing it into .cache/npm"; \
	  npm install --silent --no-audit --no-fund --prefix .cache/npm gitlab-ci-local@$(CI_LOCAL_VERSION); }
	@$(CI_LOCAL) --state-dir .cache/gitlab-ci-local --force-shell-executor $(JOBS)

fmt: setup ## Format the code and mend what can be mended without thought
	@echo "fmt: ruff"
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

check: setup ## Check style, formatting, types, and what imports what
	@echo "check: ruff, mypy and lint-imports"
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo --cache-dir .cache/lint-imports

lock: setup ## Pin anew what requirements/*.in ask for (needs a package registry); ARGS=--upgrade for newer versions
	@echo "lock: requirements/*.txt"
	@for name in bootstrap run dev build go; do \
	  $(COMPILE) $(ARGS) "requirements/$$name.in" -o "requirements/$$name.txt" || exit 1; \
	done

clean: ## Remove .venv and every cache; results in .lightwork stay
	@echo "clean: .venv and caches"
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .cache dist build
	@find . -path ./.git -prune -o -path ./.lightwork -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
