# make run [CONFIG=name-or-path]   set up if needed, then run the pipeline
# make tensorboard [CONFIG=…]      curves, pictures and hyperparameters of its runs
# make test                        set up if needed, then run the tests
# make docs                        the docs as a site, in site/

CONFIG := $(or $(CONFIG),$(SEGLINE_CONFIG),quickstart)
ENGINE ?= local

# The `tfx` command calls pip, and keeps what it knows of pipelines in *_HOME.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export LOCAL_HOME := $(CURDIR)/runs/.tfx/local
export BEAM_HOME := $(CURDIR)/runs/.tfx/beam
export SEGLINE_CONFIG := $(CONFIG)
# What the libraries have to say goes to the run's log, but the `tfx` command
# speaks before there is one.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONWARNINGS ?= ignore

# Trust what the machine trusts: many registries stand behind a company's certificate.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help run tensorboard test bench lint docs format lock check-lock audit environment clean

help:
	@sed -n 's/^# //p' Makefile | head -4

environment:
	@sh infra/environment.sh

run: environment
	@set -e; name=$$(segline config name); \
	known=$(CURDIR)/runs/.tfx/$(ENGINE)/$$name; \
	[ -d "$$known" ] || tfx pipeline create --engine=$(ENGINE) \
		--pipeline_path=$(CURDIR)/pipeline/$(ENGINE)_runner.py; \
	tfx run create --engine=$(ENGINE) --pipeline_name=$$name

tensorboard: environment
	@segline tensorboard $(ARGS)

# The tests of a file share what they run, so that a file stays with one process, and in order.
# One process more than there are processors: many a test waits for what it has started.
WORKERS = --numprocesses $(shell expr $$(nproc) + 1) --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder
test: environment
	@sh infra/browser.sh
	@sh infra/databases.sh
	@pytest $(WORKERS) $(ARGS)

# Ratios, in docs/benchmarks.md. Those of the data need dataset and weights (README), and
# those of a finished run its folder: make bench RUN=runs/pets
BENCHMARKS = training_step unchanged_run lineage
DATA_BENCHMARKS = data_steps whole_run
RUN_BENCHMARKS = input_pipeline predict evaluation batch_prediction
bench: environment
	@set -e; bench() { echo "== $$1"; python tests/benchmarks/$$1.py $$2; }; \
	for one in $(BENCHMARKS); do bench $$one; done; \
	[ -z "$$SEGLINE__DATASET__DATA_DIR" ] || for one in $(DATA_BENCHMARKS); do bench $$one; done; \
	[ -z "$(RUN)" ] || for one in $(RUN_BENCHMARKS); do bench $$one $(RUN); done

lint: environment
	@ruff check . && ruff format --check .
	@mypy --no-error-summary
	@said=$$(lint-imports) || { echo "$$said"; exit 1; }

# Material for MkDocs speaks of a MkDocs 2 that nobody here asks for, unless told not to.
docs: environment
	@NO_MKDOCS_2_WARNING=true mkdocs build --clean
	@echo "the docs are in site/index.html"

format: environment
	@ruff check --fix . && ruff format .

# Brings the locks up to date with pyproject.toml; UPGRADE=--upgrade takes newer versions.
UV = $(shell command -v uv || echo .tools/bin/uv)
COMPILE = $(UV) pip compile --quiet --python-version 3.10 --generate-hashes --no-annotate \
	--no-header $(UPGRADE) pyproject.toml
LOCKS = requirements.lock requirements-dev.lock requirements-gpu.lock
lock:
	$(COMPILE) --extra dev -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock -o requirements.lock
	$(COMPILE) -c requirements-dev.lock --extra gpu -o requirements-gpu.lock

check-lock:
	@mkdir -p .tools
	@for lock in $(LOCKS); do cp $$lock .tools/$$lock; done
	@$(MAKE) --no-print-directory lock >/dev/null
	@for lock in $(LOCKS); do cmp $$lock .tools/$$lock || \
		{ echo "$$lock is stale: run 'make lock' and commit it"; exit 1; }; done

# Known faults of what is locked; docs/security.md has what they mean here.
audit:
	$(UV) tool run pip-audit --disable-pip --require-hashes --requirement requirements.lock

clean:
	rm -rf .venv .tools *.egg-info
