# A fresh Debian-like machine needs two commands: `make demo` and `make test`.
# Both set up .venv first; they install again only when pyproject.toml changes.
#
#   PYTHON      interpreter for .venv, 3.11 or newer (default: python3.11, else python3)
#   TORCH_ARGS  options of `pip install torch`, such as an index of CPU builds
#   JOBS        test processes (default: one per core, eight at most)
#   ARGS        further arguments of `dovetail demo` and of pytest

SHELL := /bin/bash
BIN := .venv/bin
JOBS ?= auto
export PYTHON TORCH_ARGS

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench clean distclean

help:
	@echo "make demo       search networks and accelerators jointly, build the winner, check its gates"
	@echo "make test       run all tests"
	@echo "make lint       ruff and mypy"
	@echo "make format     let ruff sort, mend and format"
	@echo "make bench      print the speed and accuracy that the documentation states"
	@echo "make clean      remove what builds and runs left (distclean: .venv, too)"

demo: .venv/.demo
	$(BIN)/dovetail demo $(ARGS)

# Compiling the numba kernels once beforehand spares every test process the wait.
test: .venv/.all
	@$(BIN)/python scripts/warm_up.py
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist loadfile $(ARGS)

lint: .venv/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.all
	@status=0; for script in benchmarks/[a-z]*.py; do \
	  echo "== $$script"; $(BIN)/python "$$script" || status=1; done; exit $$status

.venv/.demo: pyproject.toml
	@scripts/setup.sh demo

.venv/.all: pyproject.toml
	@scripts/setup.sh all

clean:
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find dovetail tests benchmarks experiments scripts -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
