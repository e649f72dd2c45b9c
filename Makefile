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
	@{ command -v prometheus && command -v prometheus-node-exporter && command -v victoria-metrics && command -v minisign && command -v pdftoppm && command -v nginx && PATH=$$PATH:/usr/sbin command -v logrotate; } >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y prometheus prometheus-node-exporter victoria-metrics minisign poppler-utils nginx-light logrotate >/dev/null; } \
	  || { echo "Programs are needed by the tests: sudo apt-get install prometheus prometheus-node-exporter victoria-metrics minisign poppler-utils nginx-light logrotate"; exit 1; }

run: $(VENV)/.run ## run the service at http://127.0.0.1:8050 (PORT=… for another port)
	@FOOTPRINT_SERVER__PORT=$(or $(PORT),8050) exec $(BIN)/footprint up

demo: $(VENV)/.run ## run a simulated organisation at http://127.0.0.1:8051, in a separate store
	@exec $(BIN)/python -m tests.simulation.demo --port $(or $(PORT),8051)

# One worker more than cores, because some tests mostly wait. The tests of a file stay on one worker; files with slow tests come first.
PYTEST = $(BIN)/python -m pytest -q -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

test-unit: $(VENV)/.test ## run the tests that need only Python, in three minutes on a laptop
	$(PYTEST) tests/unit tests/contract -m "not slow and not long and not external and not browser and not gpu"

test: $(VENV)/.test chromium servers ## run all tests except the slow ones, with browser and servers
	$(PYTEST) -m "not slow and not long and not gpu"

$(VENV)-litellm/.proxy: Makefile
	$(PYTHON) -m venv $(VENV)-litellm
	$(VENV)-litellm/bin/python -m pip install --quiet 'litellm[proxy]==1.106.2' prometheus-client
	@touch $@

test-all: $(VENV)/.test $(VENV)-litellm/.proxy chromium servers check ## run the checks and all tests, slow ones included
	HYPOTHESIS_PROFILE=full $(PYTEST) -m "not long and not gpu"

test-long: $(VENV)/.test $(VENV)-litellm/.proxy chromium servers ## run the tests that are too long for make test-all
	HYPOTHESIS_PROFILE=full $(PYTEST) -m "long and not gpu"

check: $(VENV)/.test ## check format, lint, types, import layers, naming rules and generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell *.md docs
	$(BIN)/python -m tests.checks
	$(BIN)/python docs/generate_reference.py --check

$(VENV)/.docs: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

docs: $(VENV)/.docs ## build the documentation site in build/docs; warnings are errors
	$(BIN)/python docs/generate_reference.py
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

bench: $(VENV)/.bench ## run the benchmarks: one table of ratios to a peer or a limit
	$(BIN)/python -m tests.benchmarks.bench

notebooks: $(VENV)/.test ## run all notebooks and save their outputs
	$(BIN)/python -m tests.support.notebook_runner

mutation: $(VENV)/.test ## count the small faults in the core arithmetic that the unit tests find
	$(BIN)/python -m tests.mutation

agent-size: $(VENV)/.test ## measure memory and CPU time of the agent on simulated sensors
	$(BIN)/python -m tests.benchmarks.agent_size

.PHONY: help chromium servers run demo test-unit test test-all test-long check docs bench notebooks mutation agent-size
