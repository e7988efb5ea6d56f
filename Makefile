# make demo: from speech to a searchable index.   make test: everything CI runs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO ?= demo

.PHONY: help demo test lint clean

help:
	@echo "make demo   install, then corpus -> prepare -> train -> build -> evaluate (needs no data)"
	@echo "make test   install with test tools, then lint, types and the whole test suite"
	@echo "make clean  remove what make demo made, but keep the environment"
	@echo "Both use $(VENV); PYTHON=python3.11 chooses the interpreter (3.10 to 3.12)."

$(VENV)/demo.installed: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 10) <= sys.version_info[:2] <= (3, 12); sys.exit(0 if ok else "Python 3.10 to 3.12 is needed, not %d.%d: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	touch $@

$(VENV)/test.installed: $(VENV)/demo.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,test]'
	touch $@

demo: $(VENV)/demo.installed
	$(BIN)/python -m pipelines.prepare --corpus demo --output $(DEMO)/data
	$(BIN)/python -m model.train --data $(DEMO)/data --output $(DEMO)/run
	$(BIN)/python -m scann_index.build --model $(DEMO)/run --data $(DEMO)/data --output $(DEMO)/index
	$(BIN)/python -m scann_index.evaluate --index $(DEMO)/index --data $(DEMO)/data --run $(DEMO)/run \
		--output $(DEMO)/evaluation --report-prefix $(DEMO)/report

lint: $(VENV)/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipelines model scann_index

test: lint
	$(BIN)/python -m pytest

clean:
	rm -rf $(DEMO)
