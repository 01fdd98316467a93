# Each target sets up what it needs in .venv; the second call is immediate.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
RAY := .venv/.ray

export WANDB_SILENT ?= true
# Freed memory is kept for the next step instead of being returned to the system: a fifth faster on the CPU.
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184

# Sources stay compiled, also where Python is told not to keep that: each worker, and each program that a test starts,
# would compile all of them anew.
test test-slow test-studies: export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-slow test-studies lint format clean

help:
	@echo "make demo       project a few images with the defaults of invert.py; prints where the report is"
	@echo "make test       the tests, in minutes, without network or GPU"
	@echo "make test-slow  the tests that take longer or install the package anew"
	@echo "make test-studies  every script of experiments/ at its smallest size, and the commands of the README, made small"
	@echo "make lint       style, formatting and types, as .pre-commit-config.yaml checks them"
	@echo "make format     repair what can be repaired of that"
	@echo "make clean      remove caches and builds; keeps .venv and outputs/"

demo: $(READY)
	$(BIN)/python invert.py

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

test-slow: $(READY) $(RAY)
	$(BIN)/python -m pytest -m slow

test-studies: $(READY)
	$(BIN)/python -m pytest -m study
	$(BIN)/python experiments/readme.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache
	find src tests conf experiments -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 10) <= v[:2] < (3, 14) else "Python %d.%d is not supported; give another one: make PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv -c constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[dev,tensorboard]' -c constraints.txt
	@touch $@

# Without the launcher's own requirements: it asks for an older cloudpickle than joblib does, and works with the newer one.
$(RAY): $(READY)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python ray -c constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps hydra-ray-launcher -c constraints.txt
	@touch $@
