# Everything sets itself up: a .venv in the project, installed from pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_VENV := .venv-bench
TVM_VENV := .venv-tvm

.PHONY: demo test lint bench clean

demo: $(STAMP)
	$(BIN)/python examples/digits.py

test: $(STAMP) lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# For example: make bench ARGS="--only attention,conv"; ARGS=--save measures everything and writes benchmarks/results.
bench: $(BENCH_VENV)/.installed $(TVM_VENV)/.installed
	$(BENCH_VENV)/bin/python benchmarks/run.py $(ARGS)

# The peers live in an environment of their own; a CPU build of torch is enough.
$(BENCH_VENV)/.installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(BENCH_VENV)/bin/python -m pip install --quiet --editable . numpy scipy matplotlib torch==2.13.0 jax jaxlib
	touch $@

$(TVM_VENV)/.installed: Makefile
	$(PYTHON) -m venv $(TVM_VENV)
	$(TVM_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(TVM_VENV)/bin/python -m pip install --quiet numpy scipy apache-tvm==0.27.*
	touch $@

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "relaxdsl needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
