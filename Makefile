# `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: PYTHON=python3.11 make"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } \
	  || { echo "Chromium is needed by the browser tests: sudo apt-get install chromium"; exit 1; }

servers:
	@{ command -v prometheus && command -v victoria-metrics && command -v minisign && command -v pdftoppm && command -v nginx; } >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y prometheus victoria-metrics minisign poppler-utils nginx-light >/dev/null; } \
	  || { echo "Programs are needed by the tests: sudo apt-get install prometheus victoria-metrics minisign poppler-utils nginx-light"; exit 1; }

run: $(VENV)/.run ## the service on this machine, at http://127.0.0.1:8050 (PORT=… for another)
	@FOOTPRINT_SERVER__PORT=$(or $(PORT),8050) exec $(BIN)/footprint up

demo: $(VENV)/.run ## a simulated organisation at http://127.0.0.1:8051, with a store of its own
	@exec $(BIN)/python -m tests.simulation.demo --port $(or $(PORT),8051)

# One worker more than there are cores, for some tests only wait; a file stays with its worker, files with slow tests come first.
PYTEST = $(BIN)/python -m pytest -q -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

test-unit: $(VENV)/.test ## the tests that need Python alone, in three minutes on a laptop
	$(PYTEST) tests/unit tests/contract -m "not slow and not long and not external and not browser and not gpu"

test: $(VENV)/.test chromium servers ## every test but the slow ones, with browser and servers
	$(PYTEST) -m "not slow and not long and not gpu"

$(VENV)-litellm/.proxy: Makefile
	$(PYTHON) -m venv $(VENV)-litellm
	$(VENV)-litellm/bin/python -m pip install --quiet 'litellm[proxy]==1.106.2' prometheus-client
	@touch $@

test-all: $(VENV)/.test $(VENV)-litellm/.proxy chromium servers check ## the slow ones too, and the checks
	HYPOTHESIS_PROFILE=full $(PYTEST) -m "not long and not gpu"

test-long: $(VENV)/.test $(VENV)-litellm/.proxy chromium servers ## what is longer than make test-all may be
	HYPOTHESIS_PROFILE=full $(PYTEST) -m "long and not gpu"

check: $(VENV)/.test ## format, lint, types, which way imports run, rules of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.checks
	$(BIN)/python docs/generate_reference.py --check

$(VENV)/.docs: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

docs: $(VENV)/.docs ## the documentation as a site in build/docs, warnings as errors
	$(BIN)/python docs/generate_reference.py
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

bench: $(VENV)/.bench ## one table of ratios, ours over a peer's or a limit, measured in one run
	$(BIN)/python -m tests.benchmarks.bench

notebooks: $(VENV)/.test ## every notebook from top to bottom, outputs kept
	$(BIN)/python -m tests.support.notebook_runner

mutation: $(VENV)/.test ## how many small faults of the core arithmetic the unit tests find
	$(BIN)/python -m tests.mutation

agent-size: $(VENV)/.test ## memory and processor time of the agent alone, on simulated sensors
	$(BIN)/python -m tests.benchmarks.agent_size

.PHONY: help chromium servers run demo test-unit test test-all test-long check docs bench notebooks mutation agent-size
