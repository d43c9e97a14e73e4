# Two commands do all set-up: `make demo` installs what the demo needs, `make test` the rest. Everything lives in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO_STAMP := $(VENV)/.demo-installed
STAMP := $(VENV)/.installed
# A pip in the environment takes five seconds to put there and to find; the one beside $(PYTHON) installs into it as well,
# if it is no older than 23.
OUTER_PIP := $(PYTHON) -m pip --python $(BIN)/python
NO_PIP := import pip; assert int(pip.__version__.split(".")[0]) >= 23; print("--without-pip")
# pip compiles every module of every package, on one core; most are never imported.
PIP = $$(test -x $(BIN)/pip && echo $(BIN)/python -m pip || echo $(OUTER_PIP)) install --quiet \
	--disable-pip-version-check --no-compile --constraint constraints.txt
# Small matrices run best on one thread each; the benchmark uses the cores by running seeds side by side.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
# Tests and benchmarks start many processes: modules are compiled once, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE
# A file is one worker's: what its tests share is worked out once. tests/conftest.py says which go first.
BY_FILE := --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-all pytest faults bench docs lint format clean
help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(DEMO_STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $$($(PYTHON) -c '$(NO_PIP)' 2>/dev/null) $(VENV)
	$(PIP) --editable '.[demo,report]'
	@touch $@

$(STAMP): $(DEMO_STAMP)
	$(PIP) 'pip>=25.1'
	$(PIP) --editable '.[all]' --group dev
	@# What tests import is compiled here, and not by each of their workers.
	$(BIN)/python -m pytest --collect-only --quiet >$(VENV)/collected.txt || true
	@touch $@

demo: $(DEMO_STAMP)  ## the main job on real digits: table on the terminal, demo-report/report.html
	$(BIN)/cosup demo --out demo-report

test: $(STAMP)  ## lint, types, architecture, and all tests but the slow ones: under three minutes
	+@$(MAKE) --no-print-directory --jobs 2 lint pytest SELECTED="-m 'not slow'"

test-all: $(STAMP)  ## the slow tests, too
	+@$(MAKE) --no-print-directory --jobs 2 lint pytest

# Beside lint, in one make: each leaves a core idle at times.
pytest: $(STAMP)
	$(BIN)/python -m pytest -n auto $(BY_FILE) $(SELECTED)

faults: $(STAMP)  ## kills, full disks, files that were tampered with, a server under load; writes docs/reliability.md
	$(BIN)/python benchmarks/faults.py --write

bench: $(STAMP)  ## how fast students train, as ratios measured side by side; writes benchmarks/results.json
	$(BIN)/python benchmarks/bench.py --threads 2

docs: $(STAMP)  ## the documentation as a site in build/site, without a request to anywhere; broken links are errors
	$(BIN)/python docs/commands.py && $(BIN)/python docs/configuration.py && $(BIN)/python docs/names.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/site/index.html, or serve it: $(BIN)/python -m http.server --directory build/site"

lint: $(STAMP)  ## format, lint, types, architecture
	$(BIN)/ruff format --check src tests benchmarks docs/*.py
	$(BIN)/ruff check src tests benchmarks docs/*.py
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## format and fix what can be fixed
	$(BIN)/ruff format src tests benchmarks docs/*.py
	$(BIN)/ruff check --fix src tests benchmarks docs/*.py

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build dist demo-report src/*.egg-info
