# `make demo` and `make test` need nothing but Python 3.11 to 3.13.
# Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check

demo: $(INSTALLED)
	$(BIN)/medxgan demo --out demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

check: $(INSTALLED)
	scripts/check

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed; name one: make PYTHON=python3.12 test" >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[test]'
	@touch $@
