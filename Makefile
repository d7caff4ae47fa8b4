# make demo   the whole way once, on a made-up landscape
# make test   what CI runs: lint, types, import contract, tests, and those of object stores
# make bench  figures beside their limits, some minutes
# make vendor fetches what the page of lcseg serve takes from others; its version also stands in index.html

PYTHON ?= python3
BIN := .venv/bin

IO := .venv-io/bin
# test_blocks is not among them: numpy 1, its reference there, mirrors wrongly beyond the first time.
IO_TESTS := tests/stores tests/test_files.py tests/model tests/pipeline tests/evaluation \
  tests/prediction/test_predictor.py tests/prediction/test_mapping.py \
  tests/training/test_checkpoint.py tests/training/test_step.py tests/training/test_trainer.py

.PHONY: demo test test-io bench vendor clean
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
	$(MAKE) test-io

# The same code on the TensorFlow that tensorflow-io fits: object stores, and the rooms that use it most.
test-io: .venv-io/dev
	$(IO)/pytest $(IO_TESTS)

bench: .venv/dev
	$(BIN)/python -m benchmarks

OL := ol-10.11.0
VENDOR := lcseg/serving/page/vendor

vendor:
	rm -rf $(VENDOR)
	mkdir -p $(VENDOR)/$(OL)
	npm pack --silent --pack-destination $(VENDOR) $(subst -,@,$(OL))
	tar -xzf $(VENDOR)/$(OL).tgz -C $(VENDOR)/$(OL) --strip-components=1 package/ol.css package/LICENSE.md
	tar -xzf $(VENDOR)/$(OL).tgz -C $(VENDOR)/$(OL) --strip-components=2 package/dist/ol.js
	rm $(VENDOR)/$(OL).tgz
	cd $(VENDOR) && sha256sum $(OL)/* > SHA256SUMS

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

.venv-io/dev: setup.cfg constraints-io.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo 'lcseg[io] needs Python 3.11 or 3.12; name one with make PYTHON=python3.12'; exit 2; }
	$(PYTHON) -m venv .venv-io
	$(IO)/pip install --quiet --constraint constraints-io.txt --editable '.[dev,io,io-dev]'
	npm install --silent --no-fund --no-audit --prefix .venv-io/azurite azurite@3
	touch $@

clean:
	rm -rf .venv .venv-io demo-run
