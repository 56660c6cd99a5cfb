# `make` alone says what there is. Everything lives in .venv; nothing is installed beside it.
PYTHON ?= python3
DATA ?=
ARGS ?=
# Two processes; tests of a common xdist_group run one after another.
PYTEST_ARGS ?= -n 2 --dist loadgroup

VENV := .venv
BIN := $(VENV)/bin
TRAIN := $(VENV)/.installed-train
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help venv demo serve worker secrets test test-slow test-faults test-compose check audit clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(TRAIN) ## run a selection from upload to download; DATA=folder takes your own data
	$(BIN)/fastmtl demo $(if $(DATA),--data '$(DATA)') $(ARGS)

serve: $(TRAIN) ## serve the API
	$(BIN)/fastmtl serve

worker: $(TRAIN) ## run a worker
	$(BIN)/fastmtl worker

secrets: ## write the secrets of docker-compose.yml into secrets/, those that are missing
	deploy/make-secrets.sh

venv: $(DEV) ## make .venv with everything that developing needs

test: $(DEV) ## run all tests that take seconds and need no GPU; PYTEST_ARGS=... replaces `-n 2 --dist loadgroup`
	$(BIN)/pytest -m 'not slow and not faults' $(PYTEST_ARGS)

test-slow: $(DEV) ## run the tests that take minutes
	$(BIN)/pytest -m 'slow and not faults' --timeout=1800

test-faults: $(DEV) ## break everything on purpose, which takes hours, and write docs/faults.md
	$(BIN)/python -m tests.faults.run $(ARGS)

test-compose: $(DEV) ## build the images, run docker-compose.yml and break it, and write what was seen into docs/operating.md
	$(BIN)/python tests/compose/run.py $(ARGS)

check: $(DEV) ## lint, types, and the rules of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

audit: $(DEV) ## look for known vulnerabilities in what is installed (needs pypi.org); audit-waivers.txt holds the accepted
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python .ci/audit.py $(BIN)/pip-audit audit-waivers.txt

clean: ## remove caches and builds; .venv and data stay
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(TRAIN): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[train]'
	touch $(TRAIN)

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	touch $(TRAIN) $(DEV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
