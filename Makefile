# For GNU make and BSD make. With another Python, or another place for the virtual environment:
#   PYTHON=python3.12 make demo
#   VENV=somewhere make test

PYTHON ?= python3
VENV ?= .venv
INSTALL = sh tools/install $(PYTHON) $(VENV)
RUN = $(VENV)/bin
DEMO = build/demo

.PHONY: help demo test lint bench parity clean

help:
	@echo 'make demo    install into $(VENV), then turn examples/sample.flac into codes and back'
	@echo 'make test    install into $(VENV) with what the tests need, then run them on all cores'
	@echo 'make lint    check style and types'
	@echo 'make bench   measure the speed, also of the reference implementations, in 25 minutes, and write docs/benchmarks.md'
	@echo 'make parity  compare all codecs with the reference implementations and write docs/parity.md'
	@echo 'make clean   remove what these commands made'

# Forbidding the hub shows that nothing is fetched: the weights of the default codec are part of the package.
demo:
	@$(INSTALL)
	@mkdir -p $(DEMO)
	HF_HUB_OFFLINE=1 $(RUN)/wavcodes encode -vf examples/sample.flac -o $(DEMO)/sample.nac
	HF_HUB_OFFLINE=1 $(RUN)/wavcodes decode -vf $(DEMO)/sample.nac -o $(DEMO)/sample.wav
	$(RUN)/wavcodes info $(DEMO)/sample.nac
	@echo
	@wc -c examples/sample.flac $(DEMO)/sample.nac $(DEMO)/sample.wav | sed '$$d'
	@echo 'Listen to the last one. What else there is: README.md, $(RUN)/wavcodes --help'

test:
	@$(INSTALL) test
	$(RUN)/python -m pytest -n auto --dist worksteal

lint:
	@$(INSTALL) lint
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

bench:
	@$(INSTALL) peers
	$(RUN)/python bench/run.py -o docs/benchmarks.md

parity:
	@$(INSTALL) peers
	$(RUN)/python bench/parity.py -o docs/parity.md

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
