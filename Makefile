# Two commands do all their own set-up: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-lowest lint bench soak fuzz crashes
help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) --upgrade 'pip>=25.1'
	$(BIN)/python $(PIP) --editable .
	touch $@

.venv/ready: .venv/installed
	$(BIN)/python $(PIP) --editable . --group test --group lint
	touch $@

# The oldest versions that pyproject.toml claims to work with.
.venv-lowest/ready: pyproject.toml tests/lowest.py
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python $(PIP) --upgrade 'pip>=25.1'
	.venv-lowest/bin/python tests/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python $(PIP) --editable . --group test --constraint .venv-lowest/constraints.txt
	touch $@

demo: .venv/installed  ## Show the whole job against the simulator (LIVE=1: against the hosted API, with TZAFON_API_KEY)
	$(BIN)/northstar-mcp demo $(if $(LIVE),--live)

test: .venv/ready lint  ## Install what the tests need and run all of them
	$(BIN)/python -m pytest
	$(MAKE) test-lowest

test-lowest: .venv-lowest/ready  ## Run the tests that touch other packages with their oldest supported versions
	.venv-lowest/bin/python -m pytest --quiet --ignore tests/hosts --ignore tests/faults --ignore tests/keeper --ignore tests/live_view --ignore tests/conformance

lint: .venv/ready  ## Style, types, arrows between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: .venv/ready  ## 200 tasks at once for five minutes, with faults: what is lost, what is left behind (MINUTES=5)
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),5) --tasks 200

fuzz: .venv/ready  ## Odd bytes for the reader of streams, for two minutes (SECONDS=120)
	$(BIN)/python -m tests.lightcone.fuzzing --seconds $(or $(SECONDS),120)

crashes: .venv/ready  ## Kill the server and the keeper 200 times each, and look for what is lost
	NORTHSTAR_CRASHES=200 $(BIN)/python -m pytest tests/faults/test_crashes.py

bench: .venv/ready  ## Measure: cold start and the way from event to progress
	$(BIN)/python -m bench.cold_start
	$(BIN)/python -m bench.latency
