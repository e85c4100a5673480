# Runs with any POSIX shell and GNU make. Everything is installed into .venv and web/node_modules, and done again only when
# its inputs change: .venv/.build, .venv/.runtime and .venv/.dev are stamps of the three locks.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
LOG := .venv/step.log
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
COMPILE = $(BIN)/uv --no-config --quiet pip compile --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(ARGS)
PYTHON_CODE := $(wildcard internal windlass cmd tests migrations benchmarks docs hatch_build.py)
# Folders too, so that a removed file is noticed.
WEB_SOURCES := $(shell find web -mindepth 1 \( -name node_modules -o -name dist -o -name coverage \) -prune -o -print 2>/dev/null)
# The scripts in node_modules/.bin look for `node` on the PATH.
NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix web --no-audit --no-fund

TRIALS := $(addprefix tests/e2e/test_,failover.py rolling_restart.py disturbances.py full_disk.py backup.py storm.py poison.py)

# $(call quietly,command): its output is shown only if it fails.
quietly = $(1) >$(LOG) 2>&1 || { cat $(LOG); exit 1; }

.PHONY: help run test chaos trials check check-python check-web check-container format api-types bench bench-publish bench-compare schema screenshots lock clean browser databases

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done

run: .venv/.runtime web/dist/index.html ## Start everything on http://127.0.0.1:8080 (settings pass through the environment)
	@exec $(BIN)/windlass serve

test: .venv/.dev web/dist/index.html browser databases ## Run every test
	@$(NPM) test
	@$(BIN)/pytest --numprocesses 2 --dist loadfile

chaos: .venv/.dev ## Random histories, crashes, large tables and trials, for long (STEPS=20000 ROUNDS=20 JOBS=20000 SEED=1 ROWS=1000000 GROWTH=100000)
	@WINDLASS_CHAOS_STEPS=$(or $(STEPS),20000) WINDLASS_CHAOS_ROUNDS=$(or $(ROUNDS),20) \
		WINDLASS_CHAOS_JOBS=$(or $(JOBS),20000) WINDLASS_CHAOS_SEED=$(or $(SEED),1) \
		WINDLASS_CHAOS_ROWS=$(or $(ROWS),1000000) WINDLASS_CHAOS_GROWTH=$(or $(GROWTH),100000) \
		$(BIN)/pytest -k 'embedded or round or plans or layers' \
		tests/integration/test_plans.py tests/integration/test_growth.py \
		tests/integration/test_histories.py \
		tests/integration/test_gate_histories.py tests/integration/test_gate_storm.py \
		tests/integration/test_dependency_histories.py \
		tests/e2e/test_crashes.py tests/e2e/test_gates.py
	@$(MAKE) trials

trials: .venv/.dev ## What operators and bad handlers bring, at full size: failovers, restarts, freezes, a full disk, a restore, a storm (ONLY=failover for some)
	@WINDLASS_TRIALS=1 $(BIN)/pytest $(if $(ONLY),-k '$(ONLY)') $(TRIALS)

check: check-python check-web check-container ## Check format, lint, types, import contracts and the container files

check-python: .venv/.dev
	@$(BIN)/ruff format --check $(PYTHON_CODE)
	@$(BIN)/ruff check $(PYTHON_CODE)
	@$(BIN)/mypy $(PYTHON_CODE)
	@$(BIN)/lint-imports --no-logo

check-web: web/node_modules/.package-lock.json
	@$(NPM) run lint
	@$(NPM) run typecheck
	@$(NPM) run generate -- --check

check-container: .venv/.dev
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: .venv/.dev ## Format the Python code and apply the safe fixes
	@$(BIN)/ruff check --fix-only $(PYTHON_CODE)
	@$(BIN)/ruff format $(PYTHON_CODE)

api-types: .venv/.dev web/node_modules/.package-lock.json ## Take the dashboard's types from the server at URL=http://127.0.0.1:8080
	@$(BIN)/python -c "import httpx, json, sys; json.dump(httpx.get(sys.argv[1] + '/openapi.json').json(), sys.stdout, indent=2); print()" \
		$(or $(URL),http://127.0.0.1:8080) >web/openapi.json
	@$(NPM) run generate

bench: .venv/.dev ## Measure Windlass beside other queues (FULL=1 for all of it, ONLY=drain,idle for some, ARGS=--help)
	@$(BIN)/python -m benchmarks $(if $(FULL),--full) $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-publish: .venv/.dev ## Put the last figures into the README, docs/performance.md and their picture
	@$(BIN)/python -m benchmarks.publish

bench-compare: .venv/.dev ## Measure this checkout beside another by turns (AGAINST=../other, ARGS=--help)
	@$(BIN)/python -m benchmarks.compare $(if $(AGAINST),--against $(AGAINST)) $(ARGS)

schema: .venv/.dev ## Draw the tables again: docs/schema.md
	@$(BIN)/python docs/schema.py

screenshots: .venv/.dev web/dist/index.html browser ## Take the README's pictures again
	@$(BIN)/python docs/screenshots.py

lock: .venv/.dev ## Resolve the locks again (ARGS=--upgrade takes newer versions)
	@$(COMPILE) --output-file requirements.lock pyproject.toml
	@$(COMPILE) --output-file requirements-dev.lock --constraint requirements.lock --group dev pyproject.toml
	@$(COMPILE) --output-file requirements-build.lock --constraint requirements-dev.lock --group build

clean: ## Remove what was installed and built; the data directory stays
	@rm -rf .venv .bench web/node_modules web/dist dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

browser:
	@if [ -n "$$CHROMIUM" ] || [ -x /usr/bin/chromium ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser tests ..."; \
		apt-get update >$(LOG) 2>&1; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium >>$(LOG) 2>&1; \
	fi; \
	[ -x /usr/bin/chromium ] || echo "No Chromium here: the browser tests are left out (CHROMIUM=path names one)."

databases:
	@if [ -x /usr/sbin/pgbouncer ] && [ -d /usr/lib/postgresql/15/bin ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing PgBouncer and PostgreSQL 15 for the tests of the database ..."; \
		apt-get update >$(LOG) 2>&1; \
		mkdir -p /etc/postgresql-common/createcluster.d; \
		echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/windlass-tests.conf; \
		for package in pgbouncer postgresql-15; do \
			DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$package >>$(LOG) 2>&1; \
		done; \
		rm /etc/postgresql-common/createcluster.d/windlass-tests.conf; \
	fi; \
	[ -x /usr/sbin/pgbouncer ] || echo "No PgBouncer here: its tests are left out."; \
	[ -d /usr/lib/postgresql/15/bin ] || echo "No PostgreSQL 15 here: the tests on it, and those of TLS, are left out."

.venv/bin/python:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "Windlass needs Python 3.11 or newer; none was found (PYTHON=path names one)."; exit 1; fi; \
	echo "Making .venv with $$($$found --version) ..."; \
	if ! $$found -m venv --clear .venv >/dev/null 2>&1; then \
		rm -rf .venv; \
		echo "$$found cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; \
		exit 1; \
	fi

.venv/.build: requirements-build.lock | .venv/bin/python
	@echo "Installing Node and the build backend ..."
	@$(call quietly,$(PIP) install --require-hashes -r $<)
	@touch $@

.venv/.runtime: requirements.lock pyproject.toml hatch_build.py .venv/.build
	@echo "Installing the Python packages ..."
	@$(call quietly,$(PIP) install --require-hashes -r $<)
	@$(call quietly,$(PIP) install --no-deps --no-build-isolation --editable .)
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "Installing the development tools ..."
	@$(call quietly,$(PIP) install --require-hashes -r $<)
	@touch $@

web/node_modules/.package-lock.json: web/package.json web/package-lock.json | .venv/.build
	@echo "Installing the dashboard's packages ..."
	@$(call quietly,$(NPM) ci)
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	@echo "Building the dashboard ..."
	@$(call quietly,$(NPM) run build)
	@touch $@
