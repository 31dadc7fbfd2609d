# Each target creates what it needs in .venv and says what it does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# compiled where there is a C compiler, see setup.py; a change to any of them makes a new build
TYPED := $(shell find loadgen -name '*.pxd')
HOT_PATH := $(TYPED) $(shell find loadgen -name '*.pyx') $(TYPED:.pxd=.py)
HOT_PATH_TESTS := tests/engine tests/fleet tests/fuzz tests/measure/test_recorder.py tests/measure/test_histogram.py tests/measure/test_bills.py \
  tests/measure/test_merge.py tests/e2e/test_totals.py
BUILD := $(BIN)/python -c 'from loadgen.build import build; print(build())'

# tests start hundreds of interpreters: none of them is to compile loadgen anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test soak simulate lint check docs wheel format bench fuzz screenshots lock clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST)

$(BIN)/python:
	@echo "==> creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "loadgen needs Python 3.11 or later; name one with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml setup.py $(HOT_PATH) | $(BIN)/python
	@echo "==> installing loadgen and what it runs on into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@find loadgen -name '*.so' -delete
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "    build: $$($(BUILD))"
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "==> installing the test tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/run.stamp  ## run the quickstart scenario against the embedded emulator
	@echo "==> loadgen run scenarios/quickstart.yaml"
	@$(BIN)/loadgen run scenarios/quickstart.yaml

test: $(VENV)/dev.stamp  ## run all tests
	@echo "==> running all tests on the $$($(BUILD)) build"
	@$(BIN)/python -m pytest -m 'not soak and not wallclock'
	@echo "==> running the tests of elapsed time, one by one"
	@$(BIN)/python -m pytest -m 'wallclock and not soak' -n 0
	@if [ "$$($(BUILD))" = compiled ]; then \
	  echo "==> running the tests that reach the hot path on the pure build"; \
	  LOADGEN_PURE=1 $(BIN)/python -m pytest -m 'not soak and not wallclock' $(HOT_PATH_TESTS); fi

soak: $(VENV)/dev.stamp  ## the long tests, which take minutes
	@echo "==> running the long tests"
	@$(BIN)/python -m pytest -m 'soak and not wallclock'
	@echo "==> running the long tests of elapsed time, one by one"
	@$(BIN)/python -m pytest -m 'soak and wallclock' -n 0
	@echo "==> running all tests with ten times as many examples of each property"
	@$(BIN)/python -m pytest -m 'not soak and not wallclock' --hypothesis-profile thorough --timeout 600

simulate: $(VENV)/dev.stamp  ## the experiments where the truth is known, beside other tools' ways; quickly: ARGS=--quick
	@echo "==> simulating: an hour or two of CPU, some minutes with ARGS=--quick"
	@$(BIN)/python -m tests.simulate $(ARGS)

lint: $(VENV)/dev.stamp  ## format, lint, types, layers
	@echo "==> ruff, mypy, import-linter"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

check: lint test  ## everything a change must pass

$(VENV)/docs.stamp: requirements/docs.txt $(VENV)/run.stamp
	@echo "==> installing what the pages are built with into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

docs: $(VENV)/docs.stamp  ## the pages as a site in build/docs, with the reference pages written anew
	@$(BIN)/python docs/reference.py
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d build/doctrees docs build/docs
	@echo "==> build/docs/index.html"

wheel: $(VENV)/run.stamp  ## a wheel and a source distribution in dist
	@rm -rf dist build/lib* build/bdist*
	@$(BIN)/python -c 'from setuptools.build_meta import build_sdist, build_wheel; build_sdist("dist"); build_wheel("dist")' >/dev/null
	@ls dist

format: $(VENV)/dev.stamp  ## format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/dev.stamp  ## throughput, pacing, accuracy and truth under load beside wrk, hey, ab, k6 and locust, false alarms; quickly: ARGS=--quick
	@echo "==> benchmarking beside the peers that are installed: some 50 minutes, seven with ARGS=--quick"
	@$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)/dev.stamp  ## fuzz what reads answers and frames, for a minute; longer: SECONDS=600
	@echo "==> fuzzing with atheris, which has wheels for Linux on x86-64"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@$(BIN)/python -m tests.fuzz $(or $(SECONDS),60)

screenshots: $(VENV)/dev.stamp  ## the example runs under reports/ and the pictures in docs/images; only looking: ARGS=--keep
	@echo "==> running the examples and looking at their reports with chromium: some four minutes"
	@$(BIN)/python -m benchmarks.screenshots $(ARGS)

lock: | $(BIN)/python  ## pin the versions of pyproject.toml in requirements/ (needs uv)
	@printf 'setuptools>=77\nCython>=3.1\n' > $(VENV)/build.in
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml $(VENV)/build.in -o requirements/run.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml $(VENV)/build.in --group dev -o requirements/dev.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group docs -c requirements/dev.txt -o requirements/docs.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml $(VENV)/build.in --extra distributed -o requirements/distributed.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group fuzz -o requirements/fuzz.txt

clean:  ## remove .venv and every cache
	@find loadgen -name '*.so' -delete
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
