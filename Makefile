# Two commands: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
# What Python compiles of a module it keeps, even where it is told not to: otherwise every process
# would compile a thousand of them again, which takes longer than half of a short run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test pytest test-fast test-local test-extras lint docs dist wheel-check sbom lock clean

demo: .venv/.installed
	$(BIN)/volition train pendulum

# The linters beside the tests, some of which wait for a server and leave a core free.
test: .venv/.installed-test
	$(MAKE) --jobs=2 lint pytest

pytest: .venv/.installed-test
	$(PYTEST)

test-fast: .venv/.installed-test
	$(PYTEST) -m "not slow and not browser"

# Each worker begins with files of its own, whose fixtures and programs it makes once.
PYTEST := $(BIN)/pytest -n 2 --dist worksteal

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# A real model in this process and behind a real server. Install torch first, as your platform
# wants it; the extra `local` then brings the rest.
test-local: .venv-local/.installed
	HF_HUB_OFFLINE=1 .venv-local/bin/pytest tests/local

# What other libraries make of a run: Stable-Baselines3 and LeRobot's tensors, Weights & Biases, Trackio.
test-extras: .venv-extras/.installed
	.venv-extras/bin/pytest tests/extras

docs: .venv/.installed-test
	$(BIN)/python tools/commands.py
	$(BIN)/zensical build --clean --strict

# What a release is made of: wheel and sdist, and what a default install brings, as CycloneDX.
dist: .venv/.installed
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist

# The wheel alone, in an empty environment: installed, run, and used by a program that is typed.
wheel-check: dist
	rm -rf .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install -q --disable-pip-version-check dist/*.whl mypy pyright
	cd .venv-wheel && bin/volition train pendulum --out run-$$$$ && bin/volition verify run-$$$$
	cd .venv-wheel && bin/mypy --strict ../tests/consumer/consumer.py && bin/pyright --pythonpath bin/python ../tests/consumer/consumer.py

sbom: .venv-sbom/.installed
	mkdir -p dist
	.venv-sbom/bin/cyclonedx-py requirements requirements/default.lock --pyproject pyproject.toml \
	  --output-reproducible --output-file dist/sbom.cdx.json

.venv-sbom/.installed:
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/pip install -q --disable-pip-version-check "cyclonedx-bom>=7"
	@touch $@

# The locks name versions and hashes, no index and no host. Extras are named, too: without them pip
# takes the newest release of a package that another one wants with an extra, and refuses it.
lock:
	uv pip compile pyproject.toml --group build $(LOCK) -o requirements/default.lock
	uv pip compile pyproject.toml --group build --group test --group docs $(LOCK) -o requirements/test.lock
LOCK := --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Volition needs Python 3.11 or later; this is %s. Name another: make PYTHON=..." % sys.version)'
	$(PYTHON) -m venv .venv

# Python compiles what it imports, a fifth of it all, here and not in the first run; pip would
# compile all of it.
.venv/.installed: .venv/bin/python requirements/default.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-compile --require-hashes -r requirements/default.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "import volition.cli.program, volition.run.run, volition.evidence.report"
	@touch $@

.venv/.installed-test: .venv/.installed requirements/test.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-compile --require-hashes -r requirements/test.lock
	@touch $@

.venv-local/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-local
	.venv-local/bin/pip install -q torch==2.13.0
	.venv-local/bin/pip install -q -e . "transformers[serving]>=5" pytest hypothesis starlette uvicorn httpx
	@touch $@

.venv-extras/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-extras
	.venv-extras/bin/pip install -q torch==2.13.0
	.venv-extras/bin/pip install -q -e ".[sb3,wandb,trackio]" pytest hypothesis playwright starlette uvicorn httpx
	@touch $@

clean:
	rm -rf .venv .venv-local .venv-extras .venv-sbom .venv-wheel site .cache docs/commands.md dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
