# make demo: from speech to a searchable index.   make test: everything CI runs.
PYTHON ?= $(shell for p in python3.11 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
DEMO ?= demo

.PHONY: help demo tuxpaint jax-venv test test-flink lint clean

help:
	@echo "make demo   install, then corpus -> prepare -> train -> build -> evaluate (needs no data)"
	@echo "make tuxpaint   the same on people's voices: 161 MB from Debian's archive, configs/tuxpaint/"
	@echo "make test   install with test tools, then lint, types and the whole test suite"
	@echo "make jax-venv   an environment that trains without TensorFlow, by JAX (docs/backbones.md)"
	@echo "make test-flink   prepare on a Flink cluster of this machine; needs Java 17 and Maven"
	@echo "make clean  remove what make demo made, but keep the environment"
	@echo "Both use $(VENV); PYTHON=python3.11 chooses the interpreter (3.10 or 3.11)."

$(VENV)/demo.installed: setup.py constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.10 or 3.11 is needed (tensorflow-text 2.16 has no wheel for later ones): make PYTHON=/path/to/python3.11"; exit 1; }
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
	@$(BIN)/python -m pipelines.speak --language pt --text "maçã vermelha" --output $(DEMO)/spoken.wav >/dev/null
	@echo; echo "Try it: type in any of the languages, or speak (a Portuguese red apple is ready to be heard):"
	@echo "  $(BIN)/python -m scann_index.search --index $(DEMO)/index --text \"tournesol\""
	@echo "  $(BIN)/python -m scann_index.search --index $(DEMO)/index --audio $(DEMO)/spoken.wav"
	@echo "  $(BIN)/python -m pipelines.speak --language it --text \"cuore infranto\" --output $(DEMO)/it.wav && $(BIN)/python -m scann_index.search --index $(DEMO)/index --audio $(DEMO)/it.wav"

tuxpaint/package:
	mkdir -p tuxpaint
	cd tuxpaint && apt-get download tuxpaint-stamps-default && dpkg -x tuxpaint-stamps-default_*_all.deb unpacked
	mv tuxpaint/unpacked $@

tuxpaint: $(VENV)/demo.installed tuxpaint/package
	$(BIN)/python -m pipelines.prepare --config configs/tuxpaint/prepare.yaml
	$(BIN)/python -m pipelines.prepare --config configs/tuxpaint/prepare-more-languages.yaml
	$(BIN)/python -m model.train --config configs/tuxpaint/train.yaml
	$(BIN)/python -m scann_index.build --config configs/tuxpaint/build.yaml
	$(BIN)/python -m scann_index.evaluate --config configs/tuxpaint/evaluate.yaml

lint: $(VENV)/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pipelines model scann_index

# An environment of its own: TensorFlow's NumPy is too old for JAX.
jax-venv: jax-venv/installed
jax-venv/installed:
	$(PYTHON) -m venv jax-venv
	jax-venv/bin/python -m pip install --quiet jax==0.10.2 keras==3.15.1 kagglehub==1.0.2 \
		regex sentencepiece tokenizers pyyaml
	jax-venv/bin/python -m pip install --quiet --no-deps keras-hub==0.31.0
	touch $@

# JAX needs Python 3.11; with 3.10 its tests are skipped.
JAX_VENV = $(shell $(PYTHON) -c 'import sys; print("jax-venv" if sys.version_info >= (3, 11) else "")' 2>/dev/null)
test: lint $(JAX_VENV)
	JAX_PYTHON=$(JAX_VENV:%=$(CURDIR)/%/bin/python) $(BIN)/python -m pytest -n 2 --dist loadfile

# Beam's Flink runner and Flink itself by Maven; then prepare, on a cluster of this machine.
FLINK_JARS = $(abspath $(VENV))/flink-jars
test-flink: $(VENV)/test.installed
	rm -rf $(FLINK_JARS)
	mvn --quiet --batch-mode --file tests/flink/pom.xml dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory=$(FLINK_JARS)
	cd $(FLINK_JARS) && sha256sum *.jar | diff - $(CURDIR)/tests/flink/jars.sha256
	FLINK_JARS=$(FLINK_JARS) $(BIN)/python -m pytest -m flink tests/flink

clean:
	rm -rf $(DEMO)
