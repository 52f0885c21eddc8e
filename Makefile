# make demo and make test do all the set-up they need; nothing is done twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
DOCS := $(VENV)/.docs
RESULTS := data/bench data/evaluations data/reports data/stores data/raw/synthetic exports \
  mlruns/mlflow.db mlruns/optuna.db mlruns/artifacts mlruns/work mlruns/multirun
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: help setup demo test test-all bench lint format docs serve-docs clean clean-results

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DONE)  ## make the environment .venv

# torch first and alone: were it to come as another package's need, pip would take a build with
# gigabytes of CUDA libraries wherever its index prefers one.
$(DONE): pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make setup PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cluster,export,pose,video,dev]'
	touch $@

demo: $(DONE)  ## from raw clips to a .tflite that recognises a sign, in some minutes
	PATH="$(CURDIR)/$(BIN):$$PATH" bash experiments/demo.sh

test: $(DONE)  ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-all: $(DONE)  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Some minutes and 14 GB of disk, in data/bench; `rm -r data/bench` frees them.
bench: $(DONE)  ## measure packing, loading, training, sweeping and exported files
	$(BIN)/python -m benchmarks.clips
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.sweeping
	$(BIN)/python -m benchmarks.exporting

lint: $(DONE)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DONE)  ## let ruff correct and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(DOCS): $(DONE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

docs: $(DOCS)  ## build the documentation site in site/
	$(BIN)/mkdocs build --strict

serve-docs: $(DOCS)  ## show the documentation site, rebuilt at every change
	$(BIN)/mkdocs serve

clean:  ## remove the environment and caches; results stay
	rm -rf $(VENV) site build *.egg-info data/matplotlib .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find asl benchmarks tests docs -name __pycache__ -prune -exec rm -rf {} +

# Not data/raw: what was downloaded stays.
clean-results:  ## remove stores, runs, studies and exported files; asks first
	@printf 'This removes every run, study, store and exported file:\n  %s\nType yes to go ahead: ' "$(RESULTS)"
	@read -r answer && test "$$answer" = yes || { echo "Nothing was removed."; exit 1; }
	rm -rf $(RESULTS)
