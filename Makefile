# make test     a virtual environment, the pinned dependencies, lint and tests: all that a fresh machine needs
# make venv     only the environment; then .venv/bin/simrefine is the program
# make mutants  plants defects in a copy and shows which test catches each of them; some minutes
# make demo     the whole job on faces that simrefine draws itself, offline, in a few minutes
PYTHON ?= python3
BIN := .venv/bin

.PHONY: venv test lint mutants demo clean

venv: $(BIN)/simrefine

# --editable, so that an edited source needs no second install; the stamp is the installed program itself. In compat
# mode, or Python would take a clone named simrefine for the package wherever it is started beside it.
$(BIN)/simrefine: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "simrefine needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[dev]'
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=5

mutants: venv
	$(BIN)/python tests/mutants.py

demo: venv
	$(BIN)/simrefine demo

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache
