# Three commands. Each works on a fresh machine with Python 3.11, and installs what it needs into .venv or .venv-lowest.
# The first two also work with a newer Python.
#   make quickstart   run the main job: generate scenes, train IODINE, segment, score, write a report
#   make test         run the linters, the type checker, the check of import layers, and all tests
#   make test-lowest  run the fast tests with the lowest versions that pyproject.toml allows
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --disable-pip-version-check --quiet
INSTALL := $(BIN)/python $(PIP_INSTALL) --constraint constraints.txt
LOWEST := .venv-lowest
EXTRAS := blosc,dask,fast,parquet,s3,slurm,tensorboard,test

.PHONY: quickstart test test-lowest lint fast bench hammer clean

quickstart: $(VENV)/.core
	$(BIN)/iodine-kit run pipelines/quickstart.toml --output reports/quickstart.html

# One test process per core, with one thread each.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

# Only the fast tests, to run after every change.
fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -m "not slow"

# TORCH chooses the release of torch; it defaults to the lowest allowed one. For Linux on x86-64, PyPI has old releases only
# with CUDA, which is a download of 3 GB. If your package index has another release for CPUs, give it: TORCH=2.13.0.
# So constraints-lowest.txt pins neither torch nor SymPy, which each torch needs in another version. It is resolved for aarch64,
# where torch needs no CUDA packages; the versions of all other packages are the same.
TORCH ?= $(shell sed -n 's/^ *"torch>=\([0-9.]*\)".*/\1/p' pyproject.toml)
test-lowest: $(LOWEST)/.torch-$(TORCH)
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest -n auto -m "not slow"

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

# Kill every stage, fill its disk, damage its files, and give readers damaged input, thousands of times; takes about half an
# hour, and writes the page in reports/reliability/. PARTS="kill fuzz" runs some parts; SCALE=0.1 makes a tenth of the tries.
# With atheris in .venv, it follows the coverage of the readers (.venv/bin/pip install atheris; Python 3.11 to 3.13 on Linux).
PARTS ?= kill refuse situation damage draft manifest fuzz
SCALE ?= 1
hammer: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python tests/faults/hammer.py --scale $(SCALE) $(PARTS)

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "iodine-kit needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable ".[tensorboard]"
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(INSTALL) --editable ".[$(EXTRAS)]"
	touch $@

# The lowest versions have no wheels for a newer Python.
$(LOWEST)/.torch-$(TORCH): pyproject.toml constraints-lowest.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "the lowest versions need Python 3.11: make test-lowest PYTHON=python3.11")'
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python $(PIP_INSTALL) --constraint constraints-lowest.txt --editable ".[$(EXTRAS)]" "torch==$(TORCH)"
	rm -f $(LOWEST)/.torch-*
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) .pytest_cache .mypy_cache .ruff_cache .hypothesis
