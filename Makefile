# The commands for this repository; `make` alone lists them.
# ARGS is passed to a target's last command: make test ARGS="-k lake", make run ARGS="max_timestamps=100".

ARGS ?=
ENV ?= dev
TENANT ?= acme
ESTATE = .venv/bin/lightwork-estate
JOBS ?= check test
PYTEST = .venv/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile
CI_LOCAL = .cache/npm/node_modules/.bin/gitlab-ci-local
CI_LOCAL_VERSION = 4.61.1
NEWEST = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lightwork/python-3.13
# Compiles the .in files of requirements/ into .txt files; versions stay unless the .in files require others.
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-header --custom-compile-command "make lock"

# Without this, every test subprocess recompiles its imports, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-newest run test test-slow test-cluster test-driver cluster-up cluster-tenant cluster-down bench preview-offline up preview destroy cost ci-local fmt check lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## Create .venv with the pinned packages; other targets call it, and it does nothing if nothing changed
	@sh requirements/install.sh

setup-newest: ## Create an environment of Python 3.13 for the tests that need one; they are skipped without (PYTHON=python3.13)
	@echo "setup-newest: $(NEWEST)"
	@$(or $(PYTHON),python3.13) -m venv "$(NEWEST)"
	@"$(NEWEST)/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt

run: setup ## Run the pipeline windy-city on all cores of this machine
	@echo "run: windy-city on all cores of this machine"
	@.venv/bin/lightwork run windy-city $(ARGS)
	@echo "run: the same command again computes nothing; next: docs/writing-a-pipeline.md, for one of your own"

test: setup ## Run the fast tests
	@echo "test: tests/unit and tests/infra"
	@$(PYTEST) -m "not slow" tests/unit tests/infra $(ARGS)

test-slow: setup ## Run the slow tests of the same folders (minutes, hundreds of MB; some need root and are skipped without)
	@echo "test-slow: tests/unit and tests/infra, marked slow"
	@$(PYTEST) -m slow tests/unit tests/infra $(ARGS)

test-cluster: setup ## Test on real Kubernetes and Argo (Linux, root); TIER=core for the few tests that every change must pass
	@echo "test-cluster: up, tests/cluster ($(or $(TIER),all)), down"
	@TIER=$(TIER) .venv/bin/python -m tests.cluster test $(ARGS)

test-driver: setup ## Test the deployment of stacks with the real Pulumi engine (no cluster, no account; builds it the first time)
	@echo "test-driver: tests/cluster/test_driver.py, test_node_groups.py, test_components.py"
	@.venv/bin/python -m tests.cluster driver $(ARGS)

cluster-up: setup ## Start real Kubernetes and Argo with a tenant on this machine and leave them running (Linux, root)
	@.venv/bin/python -m tests.cluster up

cluster-tenant: setup ## Add the tenant of a file to that cluster, with small pods (FILE=tenants/acme.yaml)
	@.venv/bin/python -m tests.cluster tenant '$(FILE)'

cluster-down: setup ## Stop that cluster and restore the machine
	@.venv/bin/python -m tests.cluster down

bench: setup ## Run the benchmarks, each against a peer measured in the same run
	@echo "bench: this takes several minutes"
	@.venv/bin/python -m bench $(ARGS)

preview-offline: setup ## Print every resource of an environment and a tenant, without an account (ENV, TENANT)
	@.venv/bin/python -m infra.offline.preview --env '$(ENV)' --tenant '$(TENANT)'

up: setup ## Deploy one stack: STACK=dev is the estate of dev, STACK=dev.acme is a tenant in it (needs `pulumi`)
	@$(ESTATE) up --stack "$(STACK)" $(ARGS)

preview: setup ## Show what `make up` would change (STACK)
	@$(ESTATE) preview --stack "$(STACK)" $(ARGS)

destroy: setup ## Destroy one stack, as far as committed `destroy` entries permit (STACK)
	@$(ESTATE) destroy --stack "$(STACK)" $(ARGS)

cost: setup ## Print the cost of an environment and a tenant at list prices, without an account (ENV, TENANT)
	@$(ESTATE) cost --env "$(ENV)" --tenant "$(TENANT)" $(ARGS)

ci-local: setup ## Run jobs of .gitlab-ci.yml on this machine, without GitLab (needs Node 20, rsync; JOBS="check test")
	@for tool in npm rsync; do command -v $$tool >/dev/null || { echo "ci-local: $$tool is missing: install it first" >&2; exit 2; }; done
	@test -x $(CI_LOCAL) || { echo "ci-local: installing gitlab-ci-local into .cache/npm"; \
	  npm install --silent --no-audit --no-fund --prefix .cache/npm gitlab-ci-local@$(CI_LOCAL_VERSION); }
	@$(CI_LOCAL) --state-dir .cache/gitlab-ci-local --force-shell-executor $(JOBS)

fmt: setup ## Format the code and apply the safe lint fixes
	@echo "fmt: ruff"
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .

check: setup ## Check style, formatting, types, and what imports what
	@echo "check: ruff, mypy and lint-imports"
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo --cache-dir .cache/lint-imports

lock: setup ## Pin what requirements/*.in ask for (needs a package registry); ARGS=--upgrade for newer versions
	@echo "lock: requirements/*.txt"
	@for name in bootstrap run dev build go peers/joblib peers/prefect peers/hamilton; do \
	  $(COMPILE) $(ARGS) "requirements/$$name.in" -o "requirements/$$name.txt" || exit 1; \
	done

clean: ## Delete .venv and every cache; results in .lightwork stay
	@echo "clean: .venv and caches"
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .cache dist build
	@find . -path ./.git -prune -o -path ./.lightwork -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
