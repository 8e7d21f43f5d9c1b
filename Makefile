# make run [CONFIG=name-or-path]   set up if needed, then run the pipeline
# make tensorboard [CONFIG=…]      curves, pictures and hyperparameters of its runs
# make test                        set up if needed, then run the tests
# make test-quick                  those that need no whole run
# make test-image                  builds the image, and runs a whole chain in it
# make test-cluster KFP=… NAMESPACE=…   the tests on a real Kubeflow (docs/how-to/cluster.md)
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
.PHONY: help run tensorboard test test-quick test-image test-cluster bench lint docs format lock check-lock audit environment clean

help:
	@sed -n 's/^# //p' Makefile | head -7

environment:
	@sh infra/environment.sh

run: environment
	@set -e; name=$$(segline config name); \
	known="$(CURDIR)/runs/.tfx/$(ENGINE)/$$name"; \
	[ -d "$$known" ] || bash infra/tfx.sh pipeline create --engine=$(ENGINE) \
		--pipeline_path="$(CURDIR)/pipeline/$(ENGINE)_runner.py"; \
	bash infra/tfx.sh run create --engine=$(ENGINE) --pipeline_name=$$name

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

# What starts nothing and trains nothing; a test that turns out to be slow has to be marked.
# In one process: each one more would import TensorFlow and TFX again, which is a third of it all.
test-quick: environment
	@pytest -n0 -m "not slow" --slow-from 20 $(ARGS)

# Builds the image, and runs a whole chain in it.
test-image: environment
	@SEGLINE_TEST_IMAGE=1 pytest -n0 tests/infra/test_built_image.py $(ARGS)

# KFP: the address of Kubeflow Pipelines' API; NAMESPACE: where its runs have their pods.
export KFP NAMESPACE
test-cluster: environment
	@pytest -n0 tests/cluster $(ARGS)

# Ratios, in docs/benchmarks.md. Those of the data need dataset and weights (README), and
# those of a finished run its folder: make bench RUN=runs/pets
BENCHMARKS = training_step model_cost unchanged_run lineage
DATA_BENCHMARKS = data_steps whole_run
RUN_BENCHMARKS = input_pipeline predict evaluation batch_prediction contours
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

# Brings the locks of both stacks up to date with pyproject.toml; UPGRADE=--upgrade takes newer
# versions. The current stack's hold for Python 3.11 to 3.13.
UV = $(shell sh infra/uv.sh)
LOCKS = infra/locks
COMPILE = $(UV) pip compile --quiet --generate-hashes --no-annotate --no-header $(UPGRADE)
COMPILE_current = $(COMPILE) --universal --fork-strategy fewest --python-version 3.11
COMPILE_older = $(COMPILE) --python-platform x86_64-manylinux_2_36 --python-version 3.11
define lock_stack
$(COMPILE_$1) -c $(LOCKS)/$1/stack.in pyproject.toml --extra dev -o $(LOCKS)/$1/dev.lock
$(COMPILE_$1) -c $(LOCKS)/$1/dev.lock pyproject.toml --extra kubeflow --extra exports -o $(LOCKS)/$1/run.lock
$(COMPILE_$1) -c $(LOCKS)/$1/dev.lock pyproject.toml --extra kubeflow --extra exports --extra gpu -o $(LOCKS)/$1/gpu.lock
endef
lock:
	$(call lock_stack,current)
	$(call lock_stack,older)
	echo uv | $(COMPILE) - -o $(LOCKS)/uv.txt

check-lock:
	@mkdir -p .tools && rm -rf .tools/locks && cp -r $(LOCKS) .tools/locks
	@$(MAKE) --no-print-directory lock >/dev/null
	@diff -rq $(LOCKS) .tools/locks || \
		{ echo "the locks were stale; they are up to date now: commit them"; exit 1; }

# Known faults of what is locked; docs/security.md has what they mean here.
audit:
	@failed=0; for stack in current older; do echo "== the $$stack stack"; \
		$(UV) tool run pip-audit --disable-pip --require-hashes \
			--requirement $(LOCKS)/$$stack/run.lock || failed=1; done; exit $$failed

clean:
	rm -rf .venv .tools *.egg-info
