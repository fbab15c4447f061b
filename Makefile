# Needs Python 3.11 or newer. Everything goes into .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format bench clean

demo: .venv/.runtime  ## Install the light runtime and analyse examples/
	$(BIN)/espressivo analyze examples/voice-note.m4a

test: .venv/.dev lint  ## Install what tests need, lint, type-check, test
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev  ## Put the code into its one form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: .venv/.bench  ## Speed and memory against a peer; takes about ten minutes
	$(BIN)/python benchmarks/analyze.py
	$(BIN)/python benchmarks/profiles.py
	$(BIN)/python benchmarks/training.py --ravdess ../shared/corpora/ravdess

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"$(PYTHON) is Python {v[0]}.{v[1]}, and espressivo needs 3.11 or newer; run: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/.runtime: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plot,train,cluster,dev]'
	@touch $@ .venv/.runtime

.venv/.bench: .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,bench]'
	@touch $@

clean:
	rm -rf .venv
