# make demo and make test do all the set-up they need; nothing is done twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test test-all bench lint format clean

setup: $(DONE)

# torch first and alone: were it to come as another package's need, pip would take a build with
# gigabytes of CUDA libraries wherever its index prefers one.
$(DONE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make setup PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cluster,export,dev]'
	touch $@

demo: $(DONE)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash experiments/demo.sh

test: $(DONE)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-all: $(DONE)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Some minutes and 14 GB of disk, in data/bench; `rm -r data/bench` gives them back.
bench: $(DONE)
	$(BIN)/python -m benchmarks.clips
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.sweeping
	$(BIN)/python -m benchmarks.exporting

lint: $(DONE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DONE)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Not data/raw: what was downloaded stays.
clean:
	rm -rf $(VENV) data/bench data/matplotlib data/reports data/stores data/raw/synthetic exports \
	  mlruns/mlflow.db mlruns/optuna.db mlruns/artifacts mlruns/work mlruns/multirun
