# make demo          the demo shop on http://127.0.0.1:8000/   (PORT=9000 make demo: on another port)
# make demo-cluster  the same demo on Redis, two web processes and two Celery workers
# make check         style, types, layers, and the tests that start no other process
# make test          the same, and the tests with servers, workers and a browser (DJANGO="django~=6.0.0": with this one)
# make test-all      the same, and real outages, and the wheel with the newest and the lowest dependencies
# make lint          style, types and layers alone
# make coverage      lines and branches of htmx_live/ that the tests of `make test` reach
# make script        what pages load, from the modules in static/htmx_live/src, after a change of them (needs node and npm)
# make test-script   types and tests of these modules, in node
# make style         the small style sheet from the readable one, after a change of it
# make bench         the benchmarks, as ratios (TESTS=tests/benchmarks/test_journeys.py: size and call paths of the code alone)
# make mutate        changes of single expressions that tests miss (MODULE="htmx_live/runtime/state.py …", SAMPLE=300, SEED=1, TESTS=tests)
# make mutate-script the same for the modules of the script (MODULE="sync connection", SAMPLE=300, SEED=1)
# make soak          a mixed load, and what is left after it (MINUTES=20 STORE=memory or redis)

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster check test test-all rest outages package newest lowest lint coverage script test-script style bench mutate mutate-script soak needs

PORT ?= 8000
PYTHON ?= $(shell command -v python3 || command -v python)
VENV := $(or $(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check --root-user-action=ignore

DJANGO ?= django
NEWEST := 3.13
NEWEST_PYTHON = $(shell for python in $$(command -v python$(NEWEST)) $(wildcard $(HOME)/.pyenv/versions/$(NEWEST)*/bin/python); do \
	"$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$(NEWEST)')" 2>/dev/null && echo "$$python" && break; done)
NEWEST_VENV := .venv-newest
LOWEST_VENV := .venv-lowest

help:
	@sed -n '/^# make/s/^# //p' Makefile

demo: $(VENV)/.demo
	@$(BIN)/python demo/manage.py migrate --verbosity 0
	@$(BIN)/python demo/manage.py sampledata
	@echo "The demo is on http://127.0.0.1:$(PORT)/ (end it with Ctrl+C)"
	@$(BIN)/python -m uvicorn demo.asgi:application --host 127.0.0.1 --port $(PORT) --log-level warning

demo-cluster: $(VENV)/.cluster
	@command -v redis-server >/dev/null || { echo "This needs redis-server. On Debian or Ubuntu: sudo apt-get install redis-server"; exit 1; }
	@$(BIN)/python demo/manage.py migrate --verbosity 0
	@$(BIN)/python demo/manage.py sampledata
	@PORT=$(PORT) exec $(BIN)/python demo/cluster.py

# Three tests at a time, each in a process with a browser, a Redis, ports and databases of its own; browser tests come last.
# Three keep two cores busy: tests with workers and browsers wait a third of their time.
WORKERS ?= 3
PYTEST := -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.test lint test-script
	@$(BIN)/python $(PYTEST) -m "not processes and not browser and not faults"

test: $(VENV)/.test needs lint test-script
	@$(BIN)/python $(PYTEST) -m "not faults"

test-all: test rest

# What test-all has beside test.
rest: outages newest lowest
	@$(MAKE) soak MINUTES=1 STORE=memory & memory=$$!; $(MAKE) soak MINUTES=1 STORE=redis & redis=$$!; \
	$(MAKE) package && wait $$memory && wait $$redis

outages: WORKERS = 4
outages: $(VENV)/.test needs
	@$(BIN)/python $(PYTEST) -m faults

coverage: $(VENV)/.test needs
	@$(BIN)/python $(PYTEST) -m "not faults" --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/.test
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@layers=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$layers"; exit 1; }

# What pages load, made of the modules in src/: the script and the modules that it, or a template, loads when a page needs them.
# Two of them are classic scripts. The exact version of esbuild belongs to the built files: a test builds them again and compares.
ESBUILD := npx --yes esbuild@0.28.2 --bundle --minify --sourcemap --target=es2022 --log-level=warning
STATIC := static/htmx_live
BUILT := $(STATIC)

script:
	@$(ESBUILD) --format=iife --outdir=$(BUILT) htmx-live=$(STATIC)/src/index.js layouts=$(STATIC)/src/layouts.js
	@$(ESBUILD) --format=esm --outdir=$(BUILT) $(foreach name,notices plain progress upload,$(STATIC)/src/$(name).js)
	@printf 'The script: %s bytes, %s gzipped\n' "$$(wc -c < $(BUILT)/htmx-live.js)" "$$(gzip -9c $(BUILT)/htmx-live.js | wc -c)"

test-script:
	@command -v npx >/dev/null || { echo "The script's tests need node and npm. On Debian or Ubuntu: sudo apt-get install nodejs npm"; exit 1; }
	@npx --yes --package=typescript@5.9.3 tsc -p $(STATIC)/src
	@log=$$(mktemp); node --test --test-reporter=spec --test-reporter-destination=$$log tests/script/*.test.mjs; status=$$?; \
	if [ $$status = 0 ]; then sed -n 's/.* pass \([0-9]*\)$$/\1 passed (modules of the script)/p' $$log; else cat $$log; fi; rm $$log; exit $$status

style:
	@python3 .ci/small_style.py

bench: $(VENV)/.test needs
	@$(BIN)/python -m pytest -q -s -m benchmark -p no:randomly $(TESTS)

SAMPLE ?= 300
SEED ?= 1
TESTS ?= tests
mutate: $(VENV)/.test
	@nice -n 15 $(BIN)/python -m tests.mutation $(MODULE) --sample $(SAMPLE) --seed $(SEED) --tests $(TESTS)

mutate-script: $(VENV)/.test
	@nice -n 15 node tests/script/mutation.mjs --modules "$(MODULE)" --sample $(SAMPLE) --seed $(SEED) \
		--acorn "$$($(BIN)/python -c "from tests.npm import fetch; print(fetch('acorn@8.15.0'))")"

MINUTES ?= 20
STORE ?= memory
soak: $(VENV)/.test
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --store $(STORE)

# The wheel: in a project of its own, with the newest Python and dependencies that we support, and with the lowest.
package: $(VENV)/.test
	@.ci/wheel

newest: $(NEWEST_VENV)/.test $(VENV)/.test needs
	@.ci/wheel $(NEWEST_VENV) $(PYTEST) -m "not browser and not faults"

lowest: $(LOWEST_VENV)/.test $(VENV)/.test needs
	@.ci/wheel $(LOWEST_VENV) $(PYTEST) -m "not browser and not faults"

# What the tests run beside Python.  Not every package of Debian is named as its command is.
# Chromium with its windows will do, but takes three times as long to open a page.
needs:
	@missing=""; \
	for program in redis-server npm; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v chromium-headless-shell >/dev/null || { [ "$$(id -u)" != 0 ] && command -v chromium >/dev/null; } \
		|| missing="$$missing chromium-headless-shell"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing="$$missing nginx-light"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then \
		echo "Installing$$missing"; export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq $$missing >/dev/null; \
	else \
		echo "The tests need$$missing. On Debian or Ubuntu: sudo apt-get install$$missing"; exit 1; \
	fi

# Environments.  A stamp file tells that one has what pyproject.toml asks for.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "Installing the demo's packages into $(VENV)"
	@$(BIN)/python $(PIP) --upgrade "pip>=25.1"
	@$(BIN)/python $(PIP) --editable . --group demo
	@touch $@

$(VENV)/.cluster: $(VENV)/.demo
	@$(BIN)/python $(PIP) --editable ".[redis,celery]" --group demo
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "Installing the tests' packages into $(VENV)"
	@$(BIN)/python $(PIP) --upgrade "pip>=25.1"
	@$(BIN)/python $(PIP) --editable ".[redis,celery]" "$(DJANGO)" --group demo --group test
	@touch $@ $(VENV)/.demo $(VENV)/.cluster

$(NEWEST_VENV)/.test: pyproject.toml
	@test -n "$(NEWEST_PYTHON)" || { echo "This needs Python $(NEWEST), as python$(NEWEST) on the PATH or from pyenv."; exit 1; }
	@echo "Installing the tests' packages into $(NEWEST_VENV)"
	@$(NEWEST_PYTHON) -m venv $(NEWEST_VENV)
	@$(NEWEST_VENV)/bin/python $(PIP) --upgrade "pip>=25.1"
	@$(NEWEST_VENV)/bin/python $(PIP) --upgrade --upgrade-strategy eager ".[redis,celery]" --group demo --group test
	@touch $@

$(LOWEST_VENV)/.test: pyproject.toml
	@echo "Installing the tests' packages into $(LOWEST_VENV)"
	@$(PYTHON) -m venv $(LOWEST_VENV)
	@$(LOWEST_VENV)/bin/python $(PIP) --upgrade "pip>=25.1"
	@$(LOWEST_VENV)/bin/python $(PIP) ".[redis,celery]" --group demo --group test --constraint <(python3 .ci/lowest.py)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed, $(PYTHON) is ' + sys.version.split()[0]) if sys.version_info < (3, 11) else None"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
