# Two commands. Each works on a fresh machine with Python 3.11 or newer, and installs what it needs into .venv.
#   make quickstart   run the main job: generate scenes, train IODINE, segment, score, write a report
#   make test         run the linters, the type checker, the check of import layers, and all tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: quickstart test lint fast bench clean

quickstart: $(VENV)/.core
	$(BIN)/iodine-kit run pipelines/quickstart.toml --output reports/quickstart.html

# One test process per core, with one thread each.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

# Only the fast tests, to run after every change.
fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -m "not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Measure speed, arithmetic and memory of training and inference on this machine, and write the page in reports/benchmarks/.
# BENCH adds options, for example BENCH="--threads 1 --port ~/IODINE".
bench: $(VENV)/.core
	$(BIN)/python benchmarks/train_step.py $(BENCH)
	$(BIN)/python benchmarks/infer.py $(BENCH)
	$(BIN)/python benchmarks/profile_step.py
	$(BIN)/python benchmarks/tables.py

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "iodine-kit needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable ".[tensorboard]"
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(INSTALL) --editable ".[blosc,fast,parquet,tensorboard,test]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
