# The commands a newcomer needs. python3 and make are enough: each target makes its own virtual environment.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
SOURCES := pyproject.toml constraints.txt

# Packages are installed without bytecode (it takes long, and most modules are never imported). The first import of a
# module writes it, so that later processes start in less than half the time, unless this forbids it.
unexport PYTHONDONTWRITEBYTECODE

# What CI tests includes training (torch) and the page in a browser; a user's first `make test` does not.
EXTRAS := dev
ifneq ($(filter true 1 yes,$(CI)),)
EXTRAS := dev,train,browser
endif

# The libraries that other networks come from, for `make test-adapters` alone.
ADAPTERS_VENV ?= .venv-adapters
ADAPTERS      := $(ADAPTERS_VENV)/bin
FRAMEWORKS    := pytest pytest-timeout hypothesis scipy torchvision transformers segmentation-models-pytorch timm

.PHONY: demo test test-adapters check bench docs clean

demo: $(VENV)/.core
	$(BIN)/segtween demo --out demo

# Loops are compiled first, or every test process would compile them. A file's tests stay in one process, which shares
# what they make. Then what runs networks once more, held at AVX2: no dot products of bytes, no bfloat16.
test: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m segtween.demo.kernels
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest tests/runtimes tests/run/test_calibration.py

# Networks of torchvision, segmentation_models_pytorch, timm and transformers, and the examples with them.
test-adapters: $(ADAPTERS_VENV)/.done
	$(ADAPTERS)/python -m pytest tests/frameworks

check: $(VENV)/.$(EXTRAS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/measured check

bench: $(VENV)/.core
	$(BIN)/segtween bench --model swiftnet-r18 --size 2048x1024 --scale 0.75 --intervals 0,1,2,3,4

# The documentation as a site; a broken link is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir site

clean:
	rm -rf $(VENV) $(ADAPTERS_VENV) demo dist build site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(ADAPTERS_VENV)/.done: $(SOURCES) constraints-adapters.txt
	$(PYTHON) -m venv $(ADAPTERS_VENV)
	$(ADAPTERS)/python -m pip --disable-pip-version-check install --quiet --no-compile \
	  --constraint constraints-adapters.txt --editable '.[huggingface]' $(FRAMEWORKS)
	@touch $@

$(VENV)/.core: $(BIN)/python $(SOURCES)
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev $(VENV)/.dev,train,browser: $(BIN)/python $(SOURCES)
	$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@ $(VENV)/.core

$(VENV)/.docs: $(BIN)/python $(SOURCES)
	$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/.core
