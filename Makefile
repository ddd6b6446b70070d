# `make demo` shows flagtrail at work, `make test` runs every check. Needs Python 3.11+, git and make.
# Recipes use relative paths only, so the folder's path may hold spaces.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
VENV := .venv
RUN := $(VENV)/bin/python -m
ARGS ?=
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 2) * 3 // 2)')

# Modules are kept compiled, whatever the environment says: tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test screenshots faults soak histories mutants engines bench lint format docs site sbom audit clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo-ready
	@$(RUN) flagtrail demo $(ARGS)

# Tests wait for vendors, processes and databases most of the time: more of them at once than there are processors.
# A few that fail are tried once more, alone: see tests/once_more.py.
test: lint
	$(RUN) tests.once_more -n $(WORKERS) --dist worksteal -rfEs $(ARGS)

# Pictures of every view of the page, of a made-up trail, into the folder screenshots; ARGS=coverage takes only some.
screenshots: $(VENV)/.test-ready
	@$(RUN) tests.browser.screenshots $(ARGS)

# Random histories of vendors, failures and crashes against the promises: many more of them than `make test` tries.
histories: $(VENV)/.test-ready
	FLAGTRAIL_HISTORIES=$${FLAGTRAIL_HISTORIES:-150} $(RUN) pytest -n auto --timeout 7200 tests/properties \
		tests/integration/test_lake.py $(ARGS)

# Bugs planted in a copy, one at a time, and a table of the tests that catch them; ARGS=vanished tries only some.
mutants: $(VENV)/.test-ready
	$(RUN) tests.properties.mutants $(ARGS)

# Every fault that must not cost an entry, and a table of what it cost.
faults: $(VENV)/.test-ready
	$(RUN) pytest -n auto tests/faults $(ARGS)

# The daemon for so long in a life full of changes, faults and kills; DATABASE=postgresql has its store there.
SOAK ?= 5m
soak: $(VENV)/.test-ready
	FLAGTRAIL_SOAK=$(SOAK) FLAGTRAIL_SOAK_DATABASE=$(DATABASE) $(RUN) pytest -q -s tests/acceptance/test_soak.py $(ARGS)

# Other engines on the lake: ClickHouse by chDB, and Spark, which needs a Java. 1 GB, so `make test` skips what is not there.
engines: $(VENV)/.test-ready
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[engines]'
	$(RUN) pytest -rs tests/integration/test_lake_engines.py $(ARGS)

# Loading beside its peers, where the time goes, memory, fetching, workers, start-up, and questions as the trail grows, written
# into benchmarks/RESULTS.md. Takes its time, and the network once; ROWS up to 10000000 takes hours more. With
# ARGS, such as ARGS="--only ours,bare --events 20000 --runs 1", only the first of these, and printed only.
ROWS ?= 10000,100000,1000000
bench: $(VENV)/.test-ready
	$(RUN) benchmarks.loading $(or $(ARGS),--write)
	$(if $(ARGS),,$(RUN) benchmarks.profile --write)
	$(if $(ARGS),,$(RUN) benchmarks.memory --write)
	$(if $(ARGS),,$(RUN) benchmarks.record startup)
	$(if $(ARGS),,$(RUN) benchmarks.record fetching)
	$(if $(ARGS),,$(RUN) benchmarks.record workers)
	$(if $(ARGS),,$(RUN) benchmarks.record asking)
	$(if $(ARGS),,$(RUN) benchmarks.record packing)
	$(if $(ARGS),,$(RUN) benchmarks.record inserting)
	$(if $(ARGS),,$(RUN) benchmarks.record incidents)
	$(if $(ARGS),,$(RUN) benchmarks.record growth --database sqlite --rows $(ROWS))
	$(if $(ARGS),,$(RUN) benchmarks.record page --rows 100000)
	$(if $(ARGS),,$(RUN) benchmarks.record serving --database sqlite)
	$(if $(ARGS),,$(RUN) benchmarks.record serving --database postgresql)
	$(if $(ARGS),,$(RUN) benchmarks.record growth --database postgresql --rows $(ROWS))
	$(if $(ARGS),,$(RUN) benchmarks.record lake --rows 10000000)
	$(if $(ARGS),,$(RUN) benchmarks.record noting)

lint: $(VENV)/.test-ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: $(VENV)/.test-ready
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

docs: $(VENV)/.test-ready
	$(VENV)/bin/python -c "from flagtrail.schema.describing import describe; print(describe(), end='')" > docs/schema.md
	$(VENV)/bin/python -c "from flagtrail.connector import installed; from flagtrail.vocabulary import describe; \
		print(describe(installed()), end='')" > docs/vocabulary.md

# The documentation as a site, in the folder site.
site: $(VENV)/.test-ready
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

# What flagtrail brings along, as CycloneDX, in sbom.json: of an environment with nothing else, or of another one.
OF ?= .sbom/bin/python
sbom: $(VENV)/.test-ready $(if $(filter .sbom/%,$(OF)),.sbom)
	$(RUN) cyclonedx_py environment --pyproject pyproject.toml --output-reproducible --output-format JSON \
		--output-file sbom.json $(OF)

.sbom: pyproject.toml
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check .
	$@/bin/pip uninstall --quiet --yes pip

# Known vulnerabilities of all that is installed here. It asks PyPI for them, and fails when that does not answer.
audit: $(VENV)/.test-ready
	@mkdir -p .audit
	@$(RUN) pip freeze --disable-pip-version-check --exclude-editable > .audit/installed.txt
	@$(RUN) pip_audit --strict --no-deps --disable-pip --progress-spinner off -r .audit/installed.txt 2>.audit/said.txt || { \
		tail -1 .audit/said.txt >&2; \
		grep -q "known vulnerabilit" .audit/said.txt && echo "audit: update what is listed above" >&2 || \
		echo "audit: nothing was found out: PyPI's vulnerability service did not answer, or does not know a package" >&2; \
		exit 1; }

clean:
	rm -rf $(VENV) .sbom .audit sbom.json site .bench screenshots build dist .mypy_cache .pytest_cache .ruff_cache flagtrail-demo

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "flagtrail needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps make a second run work without a network.
$(VENV)/.demo-ready: pyproject.toml | $(VENV)/bin/python
	@echo "installing flagtrail into $(VENV), once ..."
	@$(RUN) pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test-ready: pyproject.toml | $(VENV)/bin/python
	@echo "installing flagtrail and its test tools into $(VENV), once ..."
	@$(RUN) pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.demo-ready
