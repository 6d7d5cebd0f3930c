# Everything runs in .venv, made from requirements.lock by Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= .langsense
# How many processes share a run of the tests; each starts servers of its own.
WORKERS ?= 2
SHARED := -n $(WORKERS) --no-loadscope-reorder

.PHONY: help up demo test quick lint bench chaos lock clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Made again when the lock changes. Installed with hashes: what was reviewed is what runs.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "LangSense needs Python 3.11 or newer; name it: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: $(VENV)/ready ## Run the platform here until Ctrl-C (GATEWAY_PORT=8000 BROKER=wheel|kafka DATA=.langsense)
	@$(BIN)/langsense up --data $(DATA)

demo: $(VENV)/ready ## Drive the running platform, then prove it (DURATION=30 PLAYERS=200 RATE=200)
	@$(BIN)/langsense demo --data $(DATA)

test: $(VENV)/ready ## Every test; real Kafka where Docker or Java 17 is there
	@$(BIN)/python -m pytest $(SHARED) -m "slow or not slow"

quick: $(VENV)/ready ## Every test that needs no server, in two minutes
	@$(BIN)/python -m pytest $(SHARED) -m "not slow and not integration"

lint: $(VENV)/ready ## Style, types, architecture
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/ready ## The wallet beside pgbench and bare inserts, proof, reconciliation, fraud, figures; results in bench/results
	@$(BIN)/python -m bench.wallet
	@$(BIN)/python -m bench.verify
	@$(BIN)/python -m bench.reconcile
	@$(BIN)/python -m bench.fraud
	@$(BIN)/python -m bench.detection
	@$(BIN)/python -m bench.figures

chaos: $(VENV)/ready ## The reliability tests for longer (WALLET_KILLS=60 PAYMENTS=2000); the wallet beside its model (WALLET_STEPS=50000)
	@WALLET_KILLS=$${WALLET_KILLS:-60} PAYMENTS=$${PAYMENTS:-2000} $(BIN)/python -m pytest -m "slow or not slow" tests/reliability
	@WALLET_STEPS=$${WALLET_STEPS:-50000} $(BIN)/python -m pytest -m slow -s tests/wallet_service/test_stateful.py

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet

lock: $(VENV)/ready ## Resolve the locks again from pyproject.toml: all, and of it what the image runs
	@$(LOCK) --group dev pyproject.toml --output-file requirements.lock
	@$(LOCK) --constraint requirements.lock pyproject.toml --output-file requirements-runtime.lock

clean: ## Remove the environment and local data
	rm -rf $(VENV) $(DATA)
