# Postern: `make help` lists what there is; every target works in a fresh clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# More than twice the cores of a small machine: more than half of the time a test waits for a process or the disk.
WORKERS ?= 5

# Tests are put into another form before they run, and that form is kept: also for who has told Python to keep nothing.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run test crowd prove check bench fuzz tcb fmt lock system-packages
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp, not the directory, is the target: pip that broke off half way leaves a directory too. --no-deps: the lists name
# everything, so there is nothing to resolve.
.venv: $(VENV)/.locked  ## the virtualenv with what a serving machine needs, from requirements.txt

$(VENV)/.locked: requirements.txt tools/link-project
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-deps --require-hashes --only-binary :all: -r requirements.txt
	tools/link-project $(VENV)
	touch $@

$(VENV)/.locked-test: requirements-test.txt $(VENV)/.locked
	# dkimpy is published as source alone.
	$(PIP) install --quiet --no-deps --require-hashes --only-binary :all: --no-binary dkimpy -r requirements-test.txt
	touch $@

run: $(VENV)/.locked  ## set up what is missing, then serve in the foreground (Ctrl-C or SIGTERM stops it)
	@test -e postern.toml || $(BIN)/postern init
	@exec $(BIN)/postern up

# Two passes: what measures time must not share the machine with what loads it. The checks are one process: beside the
# first pass they cost nobody's time.
test: $(VENV)/.locked-test system-packages  ## everything that checks this tree (what .ci/run runs)
	$(MAKE) --no-print-directory --jobs 2 check crowd
	$(BIN)/python -m pytest -m alone

# A file stays with one worker, so that its house is founded once; the long ones begin first (tests/fixtures/order.py). All
# workers read all files: one who reads them before saves each the same work.
crowd: $(VENV)/.locked-test system-packages
	-$(BIN)/python -m pytest --collect-only --quiet > /dev/null
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not alone"

check: $(VENV)/.locked-test  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

prove: $(VENV)/.locked-test system-packages  ## the promises in full size, each printing its figure (long)
	POSTERN_FULL=1 $(BIN)/python -m pytest --timeout 7200 -m must_show

bench: $(VENV)/.locked-test system-packages  ## Postern and a throw-away Postfix in turn, and each page at a million (long; needs root)
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.outbound
	$(BIN)/python -m benchmarks.panel

# SECONDS is also the shell's own name for how long it runs, so only make's command line or file can set it.
FUZZ_SECONDS := $(if $(filter command line file,$(origin SECONDS)),$(SECONDS),60)
fuzz: $(VENV)/.locked-test  ## what strangers may send, at random but led by coverage: SECONDS=60 each, TARGETS="…" for some
	nice $(BIN)/python -m tests.fuzz $(FUZZ_SECONDS) $(TARGETS)

tcb: $(VENV)/.locked  ## lines of trusted code, per role and in sum
	@$(BIN)/python tools/tcb.py

fmt: $(VENV)/.locked-test  ## put the code into the one format and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## resolve pyproject.toml anew into requirements*.txt
	tools/lock

system-packages:
	@tools/system-packages
