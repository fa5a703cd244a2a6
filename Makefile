# The two commands: `make demo` and `make test`. Both create the environment in .venv first, if it is not there.

PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help environment demo report figures-from-published test test-slurm faults benchmarks lint lock clean-demo

help:
	@echo "make demo        every figure at demo scale: embedded images, no network, minutes"
	@echo "make report      one page of what there is at the paper's scale; of the demo: make report SCALE=demo"
	@echo "make figures-from-published  figures, tables and ledgers from results/published, without training"
	@echo "make test        the tests"
	@echo "make test-slurm  the tests on a real Slurm (Debian: slurm-wlm and munge; as root)"
	@echo "make faults      kills, full disks, damaged files, wrong clocks (docs/reliability.md)"
	@echo "make benchmarks  speed, as ratios measured in one run"
	@echo "make lint        ruff, snakefmt, snakemake --lint"
	@echo "make lock        resolve pyproject.toml anew into requirements.lock"

environment: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Creating the environment in $(VENV) from requirements.lock (about 5 GB with torch) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "error: no environment could be made in $(VENV); if the venv module is missing, on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: environment
	@echo "Making every figure and table at demo scale on $(CORES) cores ..."
	@$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml --rerun-incomplete --quiet host reason rules
	@echo "The figures (with .pdf and .csv beside each) and tables (with .csv and .tex):"
	@ls results/demo/figures/*/*.png results/demo/tables/*/*.md

report: environment
	@$(BIN)/python -m toporep.cli.report $(if $(SCALE),--configfile config/$(SCALE).yaml)

figures-from-published: environment
	@OMP_NUM_THREADS=1 $(BIN)/python -m toporep.cli.from_published

test: environment
	@echo "Running the tests ..."
	@$(BIN)/python -m pytest -n $(CORES) --dist loadgroup

test-slurm: environment
	@$(BIN)/python -m pytest -m slurm tests/slurm

faults: environment
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s -m faults tests/faults

benchmarks: environment
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest benchmarks -s

lint: environment
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

lock:
	@uv pip compile --quiet pyproject.toml --extra test --universal --python-version 3.11 --constraint constraints.txt \
	  --no-header --no-emit-index-url --no-emit-find-links --generate-hashes --upgrade -o requirements.lock

clean-demo:
	@rm -rf results/demo
