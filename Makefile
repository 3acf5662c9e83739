# What a person may want to do here. Everything is set up on first use and again when its inputs change.
PYTHON ?= python3
BIN := .venv/bin
# Tests start the server often: its modules are compiled once, whatever this shell is set to.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo serve test check packages format bench screenshots release clean
help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: .venv/.compiled src/tocsin/web/static/vendor/.fetched  ## make .venv with .venv/bin/tocsin, and the web assets

demo: setup      ## start the server with the demo product and its traffic
	$(BIN)/python -m demo up

serve: setup     ## start the server
	$(BIN)/tocsin serve

test: .venv/.test-installed src/tocsin/web/static/vendor/.fetched  ## run every check and every test, as CI does
	$(MAKE) -j 3 --output-sync=target check packages .venv/.test-compiled
	# Tests wait for servers and browsers as long as they compute: three fill two cores.
	$(BIN)/pytest -n 3 --dist loadgroup

check: .venv/.test-installed       ## lint, format and types, without tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

packages:        ## install what tests need of Debian's: databases, Prometheus, a browser
	scripts/debian-packages

format: .venv/.test-installed      ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup .venv/.test-installed ## run the benchmarks and print their tables
	$(BIN)/python -m pip install -q --group bench
	$(BIN)/python -m bench.sdk_overhead
	$(BIN)/python -m bench.instruments
	$(BIN)/python -m bench.ingest
	$(BIN)/python -m bench.remote_write
	$(BIN)/python -m bench.log_ingest
	$(BIN)/python -m bench.log_search
	$(MAKE) packages
	$(BIN)/python -m bench.promql
	$(BIN)/python -m bench.alerting

screenshots: setup .venv/.test-installed packages  ## draw the pictures of the README anew
	$(BIN)/python -m scripts.screenshots

release: setup   ## build the files of a release into dist, signed with KEY=… if given
	$(BIN)/python -m pip install -q --group release
	$(BIN)/python -m scripts.release $(if $(KEY),--key $(KEY))

clean:           ## remove what was built, but no data
	rm -rf .venv dist src/tocsin/web/static/vendor .mypy_cache .ruff_cache .pytest_cache

# Debian ships venv apart from Python.
.venv/bin/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; scripts/as-root apt-get install -y python3-venv && $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'

.venv/.installed: pyproject.toml hatch_build.py | .venv/bin/python
	$(BIN)/python -m pip install -q --no-compile -e '.[server]' --group demo
	@touch $@

# pip compiles with one core; what is no Python of today among the packages stays as it is.
.venv/.compiled: .venv/.installed
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@

.venv/.test-installed: pyproject.toml .venv/.installed
	$(BIN)/python -m pip install -q --no-compile --group test
	# It asks for an older Redis client than Celery does, and runs with the new one.
	$(BIN)/python -m pip install -q --no-compile --no-deps 'arq>=0.26'
	@touch $@

.venv/.test-compiled: .venv/.test-installed
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@

src/tocsin/web/static/vendor/.fetched: package-lock.json hatch_build.py | .venv/bin/python
	$(BIN)/python hatch_build.py
	@touch $@
