# Everything a user needs: `make run` and `make test` set up what they need by themselves.
export PYTHON ?= python3
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps
# Not the scripts of the environment: in a folder with blanks they are shell scripts, which would run a folder's name.
SNAKEMAKE := $(BIN)/python -m snakemake $(if $(CONFIG),--configfile "$$CONFIG") $(if $(SET),--config set="$$SET")

.DEFAULT_GOAL := help
.PHONY: help run verify test chaos fuzz lint docs lock slurm htcondor kubernetes s3 exports app paintings benchmark gpu-check scale clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(READY) ## the whole workflow on the embedded sample (or CONFIG=presets/….yaml, SET="a.key=1 …"), then the report; or TARGET=results/…
	@[ -z "$$CONFIG" ] || [ -r "$$CONFIG" ] || { printf 'error: CONFIG=%s is no file that can be read\n' "$$CONFIG" >&2; exit 1; }
	@[ -z "$$CONFIG" ] || $(BIN)/python -m workflow_scripts.config.well_formed "$$CONFIG"
	@$(SNAKEMAKE) --cores $(CORES) $${TARGET:+-- $$TARGET}
	@[ -n "$$TARGET" ] || { [ -e results/report.html ] && [ -z "$$(find results/overview.html rules workflow_scripts/reporting -newer results/report.html -type f)" ]; } || $(SNAKEMAKE) --cores 1 \
	  --report results/report.html --report-stylesheet workflow_scripts/reporting/report.css --quiet all
	@$(BIN)/python -m workflow_scripts.provenance.verify_results update
	@[ -n "$$TARGET" ] || printf 'report: %s\n' "$$PWD/results/report.html"

app: $(VENV)/.ready-app ## a page for your own pictures and videos, on this computer alone
	@$(BIN)/python -m workflow_scripts.commands.app

verify: $(READY) ## read all results and name every file that is not what the workflow made
	@$(BIN)/python -m workflow_scripts.provenance.verify_results check

test: $(READY) $(VENV)/.ready-s3 $(VENV)/.ready-exports $(VENV)/.ready-app-test $(VENV)/.ready-paintings ## the tests, in one process per core (or CORES=1)
	@XDG_CACHE_HOME="$(CURDIR)/$(VENV)/cache" $(BIN)/python -m pytest --numprocesses $(CORES:all=auto) --dist worksteal

chaos: $(READY) ## kill the workflow at 20 moments and compare what comes out (minutes)
	@$(BIN)/python -m pytest -m chaos tests/test_chaos.py

fuzz: $(READY) ## damaged inputs of every parser, new ones each time (minutes)
	@FUZZ_PROFILE=many $(BIN)/python -m pytest --numprocesses $(CORES:all=auto) tests/test_fuzz.py

lint: $(READY) ## ruff, snakefmt and snakemake --lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m snakefmt --check Snakefile rules
	@$(BIN)/python .ci/lint_workflow.py

docs: $(READY) ## rewrite what is generated from the code: configuration schema and reference, tables of targets
	@$(BIN)/python -m workflow_scripts.config.write_docs

lock: $(READY) ## pin the newest allowed versions of all dependencies, each file by its SHA-256
	@$(BIN)/python .ci/write_lock.py

slurm: ## add what runs on Slurm need to the environment (or: make htcondor, make kubernetes)
slurm htcondor kubernetes: $(READY)
	@$(INSTALL) -r envs/$@.lock

benchmark: $(READY) ## speed against MaskTheFace: PEER=its checkout PEER_PYTHON=a Python for it PICTURES=aligned CelebA pictures
	@rm -rf results/benchmark-runs
	@$(BIN)/python -m benchmarks.masks --peer "$$PEER" --peer-python "$$PEER_PYTHON" --pictures "$$PICTURES" --work results/benchmark-runs/masks
	@$(BIN)/python -m benchmarks.pieces --pictures "$$PICTURES" --work results/benchmark-runs/pieces
	@$(BIN)/python -m benchmarks.folder --pictures "$$PICTURES" --work results/benchmark-runs/folder

gpu-check: ## on a machine with a GPU and torch alone: speed of a step beside PEER=, trainings of PACKS= (benchmarks/README.md)
	@"$$PYTHON" -m benchmarks.gpu_check run $$PACKS --work results/benchmark-runs/gpu/work --output results/benchmark-runs/gpu $${PEER:+--peer "$$PEER"}

scale: $(READY) ## jobs, storage and hours of all of CelebA, COCO and 205,000 videos, on paper, from measured rates (half an hour)
	@$(BIN)/python -m benchmarks.scale --work results/benchmark-runs/scale

s3: $(READY) ## install what results in object storage need (docs/object-storage.md)
	@$(INSTALL) -r envs/s3.lock

exports: $(READY) ## install what writes networks as ONNX (docs/exports.md)
	@$(INSTALL) -r envs/exports.lock

paintings: $(READY) ## install what adapters on a text-to-picture model need, 227 MB (docs/paintings.md)
	@$(INSTALL) -r envs/paintings.lock

clean: ## remove results (not the environment)
	find results -mindepth 1 ! -name README.md -delete; rm -rf .snakemake

# The tests of object storage are skipped where this fails.
$(VENV)/.ready-s3: $(READY) envs/s3.lock envs/s3-test.lock
	@$(INSTALL) -r envs/s3.lock -r envs/s3-test.lock && touch $@ || echo "object storage is not tested"

# The tests that read exports with the libraries of others are skipped where this fails.
$(VENV)/.ready-exports: $(READY) envs/exports.lock envs/exports-test.lock
	@$(INSTALL) -r envs/exports.lock -r envs/exports-test.lock && touch $@ || echo "exports are not tested"

# The page also works without a network afterwards, so what it would download is taken now.
$(VENV)/.ready-app: $(READY) envs/app.lock
	@$(INSTALL) -r envs/app.lock
	@$(BIN)/python -c "from workflow_scripts.faces.centerface import load_centerface; load_centerface()"
	@touch $@

# The tests of the page are skipped where this fails.
$(VENV)/.ready-app-test: $(READY) envs/app.lock envs/app-test.lock
	@$(INSTALL) -r envs/app.lock -r envs/app-test.lock && touch $@ || echo "the page is not tested"

$(VENV)/.ready-paintings: $(READY) envs/paintings.lock
	@$(INSTALL) -r envs/paintings.lock && touch $@ || echo "adapters on a text-to-picture model are not tested"

# The stamp is written last, so that an interrupted installation is repeated. PyPI's torch for Linux is a build for CUDA,
# which needs more packages. Where pip is configured to find the build for the CPU alone, that one is taken.
$(READY): $(wildcard envs/requirements.lock envs/cuda.lock envs/torch-cpu.lock)
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; write for example: make run PYTHON=python3.12")'
	@echo "setting up the environment in $(VENV) (about a minute and 2 GB, once)"
	@"$$PYTHON" -m venv $(VENV)
	@$(INSTALL) -r envs/torch-cpu.lock 2> /dev/null || $(INSTALL) -r envs/cuda.lock
	@$(INSTALL) -r envs/requirements.lock
	@$(BIN)/python -m pip check
	@touch $@
