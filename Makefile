# Two commands, each enough on a fresh machine with Python 3.11 or newer:
#   make quickstart   set up, and run the main job on generated data: IODINE takes scenes apart, and reports
#   make test         set up, lint, check types and floors, and run all tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: quickstart test lint fast bench clean

quickstart: $(VENV)/.core
	$(BIN)/iodine-kit run pipelines/quickstart.toml --output reports/quickstart.html

# As many tests at a time as there are cores, each on one of them.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

# The tests that take no time, for every save.
fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -m "not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Speed, arithmetic and memory of training and inference on this machine, and the page in reports/benchmarks/ of all results.
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
