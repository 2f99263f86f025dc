# The only list of commands: `make help` prints it. Needs Python 3.11 and make, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

BASE_PYTHON := $(shell command -v python3.11 || command -v python3)
PYTHON := .venv/bin/python
INSTALLED := .venv/installed
# Airflow starts its parts by name, so the environment's programs come first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
ROOMS := sevenfold sources splink_models expectations infra dags tests

##@ Use it
demo: $(INSTALLED)  ## Make 50,000 simulated people, run everything on them, compare with the truth (people=N seed=N country=ES mistakes=2)
	@sevenfold demo $(foreach option,people seed country mistakes,$(if $($(option)),--$(option) $($(option))))

replay: $(INSTALLED)  ## Play the paper's fifteen months quarter by quarter, and hold them against it (people=N seed=N)
	@sevenfold replay $(if $(people),--people $(people)) $(if $(seed),--seed $(seed))

run: $(INSTALLED)  ## Run the pipeline once on the configured sources (as_of=YYYY-MM-DD)
	@sevenfold run $(if $(as_of),--as-of $(as_of))

up: $(INSTALLED)  ## Start the scheduler and Airflow's web page on this machine
	@sevenfold up

down: $(INSTALLED)  ## Stop the scheduler, the web page and the embedded warehouse
	@sevenfold down

status: $(INSTALLED)  ## What is running, what was published last, what failed
	@sevenfold status

report: $(INSTALLED)  ## Where the report of the last run is (run=ID for another one)
	@sevenfold report $(run)

benchmark-scale: $(INSTALLED)  ## Measure the whole pipeline beside bare Splink (arguments='--records 100000 1000000')
	@$(PYTHON) -m benchmarks.scale.pipeline $(arguments)

benchmark-linkage: $(INSTALLED)  ## Measure what a delta costs of the full linkage (arguments='--records 1000000')
	@$(PYTHON) -m benchmarks.scale.linkage $(arguments)

benchmark-controls: $(INSTALLED)  ## Measure what the controls of the three doors cost (arguments='--records 1000000')
	@$(PYTHON) -m benchmarks.scale.controls $(arguments)

benchmark-engines: install-spark  ## Measure the comparison of the same pairs on DuckDB and on local Spark (arguments='--records 100000')
	@$(PYTHON) -m benchmarks.scale.engines $(arguments)

benchmark-accuracy: $(INSTALLED)  ## Link public data with Sevenfold and its peers, and compare (arguments='--sets fake_1000')
	@$(PYTHON) -m benchmarks.accuracy.harness $(arguments)

install-spark: $(INSTALLED)  ## Add Spark, on which SEVENFOLD_SPARK_MASTER scores pairs (needs Java 17 or 21)
	@uv --system-certs pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --require-hashes -r infra/spark.lock

docs: $(INSTALLED)  ## Write the data dictionary of every table as one page
	@sevenfold docs

##@ Work on it
install: $(INSTALLED)  ## Install exactly what requirements.lock says into .venv

TWO_AT_ONCE := --numprocesses 2 --dist loadfile --no-loadscope-reorder
test: $(INSTALLED) lint parse  ## Check everything: lint, types, dbt project, tests
	@$(PYTHON) -m pytest $(TWO_AT_ONCE)

test-fast: $(INSTALLED)  ## The tests that need no whole run
	@$(PYTHON) -m pytest $(TWO_AT_ONCE) -m 'not slow'

test-kills: $(INSTALLED)  ## Kill the scheduler in every task of one run, which takes too long for every day
	@SEVENFOLD_TEST_KILLS=1 $(PYTHON) -m pytest tests/dags/test_scheduler.py -k killed_in_every_task

test-spark: install-spark  ## Score the same records on DuckDB and on local Spark, and explain each difference
	@$(PYTHON) -m pytest tests/splink_models/test_spark.py

PRODUCTION := .venv-production
test-celery: $(INSTALLED)  ## Run the main DAG under Celery with a real Redis, and under one process (needs redis-server)
	@[ -x $(PRODUCTION)/bin/python ] || '$(BASE_PYTHON)' -m venv $(PRODUCTION)
	@uv --system-certs pip sync --quiet --python $(PRODUCTION)/bin/python --require-hashes infra/production.lock
	@$(PYTHON) -m pytest tests/dags/test_celery.py

lint: $(INSTALLED) types  ## Style, types and SQL
	@ruff check --quiet . && ruff format --quiet --check . && echo 'ruff: no remark'
	@sqlfluff lint --nocolor --disable-progress-bar --processes 2 dbt_project

types: $(INSTALLED)
	@mypy conftest.py $(wildcard $(ROOMS)) benchmarks/*/*.py

parse: $(INSTALLED)  ## Does the dbt project hold together? Every deprecation and unknown key is an error
	@sevenfold check-project

format: $(INSTALLED)  ## Rewrite what a machine can put right
	@ruff check --fix . && ruff format . && sqlfluff fix --nocolor --disable-progress-bar dbt_project

COMPILE := uv --system-certs pip compile --generate-hashes --no-strip-markers --no-header --no-annotate --python-version 3.11 --quiet
lock: $(INSTALLED)  ## Make the locks anew from pyproject.toml and infra/*.in (upgrade=1 takes newer versions)
	@$(COMPILE) pyproject.toml --extra development $(if $(upgrade),--upgrade) -o requirements.lock
	@$(COMPILE) pyproject.toml infra/production.in --constraints requirements.lock -o infra/production.lock
	@$(COMPILE) infra/spark.in --constraints requirements.lock -o infra/spark.lock

clean:  ## Stop everything and delete what runs have made: warehouse, reports, logs, the demo's input
	@if [ -x .venv/bin/sevenfold ]; then sevenfold clean; fi
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs

help:  ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

# uv comes by pip, both locks carry hashes, and the project is a link to this folder. Nothing happens when the locks are as installed.
$(INSTALLED): requirements.lock requirements.bootstrap.lock pyproject.toml
	@[ -n '$(BASE_PYTHON)' ] || { echo 'Python 3.11 is needed: install it, then run make again.' >&2; exit 1; }
	@'$(BASE_PYTHON)' -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo 'Python 3.11 or 3.12 is needed; $(BASE_PYTHON) is another version.' >&2; exit 1; }
	@echo 'Installing into .venv (about a minute the first time)'
	@[ -x .venv/bin/pip ] || '$(BASE_PYTHON)' -m venv .venv || \
	  { echo "Python's venv module is needed (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.bootstrap.lock
	@uv --system-certs pip sync --quiet --python $(PYTHON) --require-hashes --compile-bytecode requirements.lock
	@uv --system-certs pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo replay run up down status report benchmark-accuracy benchmark-scale benchmark-linkage benchmark-controls benchmark-engines docs install install-spark test test-fast test-kills test-spark test-celery lint types parse format lock clean help
