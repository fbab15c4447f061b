# Needs Python 3.11 or newer; the browser app also Node.js 20.19 or newer, and its tests
# Chromium. Everything goes into .venv and web/; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
NPM := $(shell command -v npm)

.PHONY: demo serve test test-lowest test-newest test-python test-web build-web lint format bench bench-browser dist clean

demo: .venv/.runtime  ## Install the light runtime and analyse examples/
	$(BIN)/espressivo analyze examples/voice-note.m4a

serve: .venv/.runtime  ## Build the browser app, if need be, and serve it
	$(BIN)/espressivo serve

# `make -j3 test` runs the three side by side, which is faster on two cores already.
test: lint test-web test-python  ## Install what tests need, lint, type-check, test

# After the build, since some read the app; the browsers' tests play in real time, so
# that they go first.
test-python: .venv/.dev build-web
	nice -n 5 $(BIN)/python -m pytest -n auto --dist worksteal

ifdef NPM
test-web: .venv/.dev build-web  ## The app and the package: lint, unit and browser tests
	cd web && npm run lint && npm test && npm run e2e

build-web: web/node_modules/.installed
	cd web && npm run build && npm run build:lib

dist: .venv/bin/python build-web  ## Wheel, sdist and npm package into dist/; install and try each
	rm -rf dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling
	$(BIN)/python -m hatchling build -d dist
	cd web && npm pack --silent --pack-destination ../dist
	$(BIN)/python -m tools.distributions dist
else
test-web build-web:
	@echo "web/: skipped, since there is no npm here; install Node.js 20.19 or newer"

dist:
	@echo "dist/: not made, since there is no npm here; install Node.js 20.19 or newer" >&2; exit 1
endif

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests that tell whether a version of a dependency will do: formats, the model, tables,
# figures, the API.
TELLING := tests/audio/test_recording.py tests/test_report.py tests/cli/test_report_files.py \
	tests/api/test_api_analyze.py tests/batch/test_archive.py \
	-k "every_format or mp4 or any_rate or test_report or metrics or forms or tables_hold"
TELLING_NEEDS := -e '.[plot,pandas,archive,serve]' pytest hypothesis jsonschema openapi-spec-validator

test-lowest: .venv/lowest/.installed  ## The lowest versions that pyproject.toml allows
	.venv/lowest/bin/python -m pytest $(TELLING)

test-newest: .venv/newest/.installed  ## The newest versions; PYTHON=python3.13 has newer ones
	.venv/newest/bin/python -m pytest $(TELLING)

.venv/lowest/.installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv/lowest
	.venv/lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints-lowest.txt $(TELLING_NEEDS)
	@touch $@

.venv/newest/.installed: pyproject.toml
	$(PYTHON) -m venv .venv/newest
	.venv/newest/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --upgrade $(TELLING_NEEDS)
	@touch $@

format: .venv/.dev  ## Put the code into its one form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	test ! -d web/node_modules || (cd web && npm run format)

bench: .venv/.bench  ## Speed and memory against a peer; takes about ten minutes
	$(BIN)/python benchmarks/analyze/speed.py
	$(BIN)/python benchmarks/analyze/adaptation.py
	$(BIN)/python benchmarks/training/speed.py

bench-browser: .venv/.bench build-web  ## In Chromium, against transformers.js; about five minutes
	cd benchmarks/browser && npm ci
	$(BIN)/python benchmarks/browser/run.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"$(PYTHON) is Python {v[0]}.{v[1]}, and espressivo needs 3.11 or newer; run: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/.runtime: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plot,train,cluster,serve,dev]'
	@touch $@ .venv/.runtime

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci
	@touch $@

.venv/.bench: .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,peers]'
	@touch $@

clean:
	rm -rf .venv dist web/node_modules web/dist web/lib benchmarks/browser/node_modules benchmarks/quantization/web/node_modules
