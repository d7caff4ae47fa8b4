# make demo   the whole way once, on a made-up landscape
# make test   what CI runs: lint, types, import contract, tests
# make bench  figures beside their limits, some minutes

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench clean
.DELETE_ON_ERROR:

demo: .venv/lcseg
	rm -rf demo-run
	$(BIN)/lcseg demo --out=demo-run

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

bench: .venv/dev
	$(BIN)/python -m benchmarks

.venv/lcseg: setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo 'lcseg needs Python 3.11 to 3.13; name one with make PYTHON=python3.12'; exit 2; }
	@$(PYTHON) -m venv .venv \
	  || { echo 'no virtual environment could be made; on Debian: apt install python3-venv'; exit 2; }
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev: .venv/lcseg
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv demo-run
