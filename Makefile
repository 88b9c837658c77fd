# Every target that needs Python makes .venv first; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
SOURCES := $(wildcard include plugins dags tests benchmarks)

# Many tests wait for Airflow or a disk, so three processes more than there are cores, but no more than six.
WORKERS = $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 3 ? cores + 3 : 6)))

# What the caller's shell knows of another Airflow, AWS account or delivery must not leak into this project's runs.
$(foreach name,$(filter AIRFLOW_% AWS_% PISMO_%,$(.VARIABLES)),$(eval unexport $(name)))
# Without compiled modules, each of the many processes compiles all that it imports again.
unexport VIRTUAL_ENV PYTHONHOME PYTHONDONTWRITEBYTECODE
export PYTHONPATH := $(CURDIR)/include:$(CURDIR)/plugins

##@ Use
.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: setup ## Run everything here: a look-alike Pismo, Airflow, the DAG, the check (CHANNEL=s3|s3-notices|sftp|gcs TABLES=iceberg HOURS= MB= SEED= KEEP=1)
	@$(PY) -m pismo_demo up

.PHONY: demo-down
demo-down: ## Stop the processes that `make demo KEEP=1` left running
	@if [ -x $(PY) ]; then $(PY) -m pismo_demo down; else echo "nothing to stop"; fi

##@ Develop
.PHONY: setup
setup: .venv/.installed ## Make .venv with the locked packages (PYTHON= chooses the interpreter)

.venv/.installed: requirements.txt requirements-dev.txt requirements-gcp.txt requirements-gcp-dev.txt requirements-azure.txt requirements-iceberg.txt constraints.txt scripts/setup
	@scripts/setup

.PHONY: test
test: setup lint types docs test-servers ## Lint, types, documentation and all tests but the slow ones (ARGS= goes to pytest)
	@scripts/test -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

.PHONY: test-unit
test-unit: setup ## Only the quick tests: no servers, no Airflow runs
	@scripts/test -m "not integration" $(ARGS)

.PHONY: test-servers
test-servers: setup ## Install the servers, browsers and other programs that tests use
	@if [ "$$(id -u)" = 0 ]; then scripts/openssh || echo "test: no OpenSSH server, its tests are skipped"; fi
	@if [ "$$(id -u)" = 0 ]; then scripts/rclone || echo "test: no rclone, the tests of SFTP over a bucket are skipped"; fi
	@scripts/azurite || echo "test: no Azurite, the tests of abfss:// are skipped"
	@if [ "$$(id -u)" = 0 ]; then scripts/postgresql || echo "test: no PostgreSQL, its tests are skipped"; fi
	@if [ "$$(id -u)" = 0 ]; then scripts/redis || echo "test: no Redis, the test of many workers is skipped"; fi
	@if [ "$$(id -u)" = 0 ]; then scripts/chromium || echo "test: no Chromium, the tests in a browser are skipped"; fi
	@if [ "$$(id -u)" = 0 ]; then scripts/promtool || echo "test: no promtool, the checks of alert rules are skipped"; fi
	@scripts/dbt || echo "test: no dbt, its test is skipped"
	@scripts/readers || echo "test: no DuckDB with Iceberg, its test is skipped"

.PHONY: test-slow
test-slow: setup test-servers ## Only the slow tests: kills for many minutes, an upgrade by DAGs, Spark, a login form
	@scripts/peers || echo "test: no Spark, its test is skipped"
	@scripts/spark || echo "test: no Spark with Iceberg, its test is skipped"
	@scripts/test -n 2 --dist loadfile -m slow tests/integration $(ARGS)

.PHONY: soak
soak: setup test-servers ## The long form of tests: a month of files, thousands of notices, a kill before each step: about three hours
	@PISMO_FEED_DAYS=30 PISMO_FEED_MEGABYTES=60 PISMO_NOTICES=2000 PISMO_EVERY_STEP=1 PISMO_LEDGER_FILES=1000000 \
	  PISMO_READER_SECONDS=1800 PISMO_READER_PROCESSES=112 scripts/test $(addprefix tests/integration/,\
	  test_polling_reader.py test_polling_catalog.py test_month.py test_backfill.py test_killed_tasks.py test_burst.py test_channels.py kills \
	  test_postgres.py test_ledger_growth.py) $(ARGS)

.PHONY: fuzz
fuzz: setup ## The property tests with EXAMPLES= each (20000: about an hour)
	@PISMO_FUZZ_EXAMPLES=$(or $(EXAMPLES),20000) scripts/test tests/property -n 2 $(ARGS)

.PHONY: lint
lint: setup ## Check style
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@.venv/bin/lint-imports --no-logo importlinter.ini
	@$(PY) -m check_jsonschema --schemafile config/deliveries.schema.json config/*.yaml config/demo/*.yaml
	@$(PY) -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml
	@.venv/bin/cfn-lint plugins/pismo/setup/aws/*.yaml
	@$(PY) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

.PHONY: docs
docs: setup ## Build the documentation site into site/; a broken link or a page outside the navigation fails
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict

.PHONY: screenshots
screenshots: setup ## Take the pictures of the pages for docs/img/pages again (needs Chromium: scripts/chromium)
	@PYTHONPATH=$(PYTHONPATH):$(CURDIR) $(PY) -m tests.screenshots

.PHONY: format
format: setup ## Correct style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

.PHONY: types
types: setup ## Check types
	@$(PY) -m mypy include plugins dags

.PHONY: lock
lock: setup ## Write constraints.txt again from the requirements
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 requirements-dev.txt \
	  requirements-gcp.txt requirements-gcp-dev.txt requirements-azure.txt requirements-iceberg.txt -o constraints.txt \
	  --no-emit-index-url --custom-compile-command "make lock"
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 benchmarks/requirements.txt \
	  -o benchmarks/constraints.txt --no-emit-index-url --custom-compile-command "make lock"
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 tests/dbt/requirements.txt \
	  -o tests/dbt/constraints.txt --no-emit-index-url --custom-compile-command "make lock"
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 tests/readers/requirements.txt \
	  -o tests/readers/constraints.txt --no-emit-index-url --custom-compile-command "make lock"

.PHONY: wheel
wheel: setup ## Build the wheel and the source distribution into dist/
	@$(PY) -m hatchling build

.PHONY: resolve
resolve: setup ## Unit and DAG tests with the RESOLUTION=lowest-direct|highest versions that the wheel allows (AIRFLOW=3.3.0 ARGS=)
	@scripts/resolve $(or $(RESOLUTION),highest) $(ARGS)

.PHONY: schema
schema: setup ## Write config/deliveries.schema.json again from the models
	@$(PY) -m pismo_lake.settings.schema > config/deliveries.schema.json

.PHONY: bench
bench: setup ## Measure speed and memory of the lake
	@if [ ! -d benchmarks ]; then echo "no benchmarks/ here" >&2; exit 1; fi
	@$(PY) -m benchmarks $(ARGS)

.PHONY: clean
clean: demo-down ## Remove the files that targets made, also .venv
	@rm -rf .venv .venv-lowest-direct* .venv-highest* dist .demo .airflow-test .mypy_cache .ruff_cache .pytest_cache .hypothesis site
