# Every target that needs the environment makes it first.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= chorales
METHOD ?= combined
SEED ?= 0
GPUS ?= 2
NODES ?= 1
HEAD ?= localhost:29400
SET := data/chorales/manifest.jsonl
LARGE_SET := data/chorales-large/manifest.jsonl
SOUNDFONT_SET := --clips 2000 --train-clips 16
OTHER_SET = data/soundfont/$(notdir $(basename $(SOUNDFONT)))
DEMO := baseline combined negclap
TRIALS ?= 20
SWEEP := configs/sweeps/loss_weights.yaml
RUN ?= runs/$(DATA)/$(METHOD)-$(SEED)
ARGS ?=
FIT = $(BIN)/negclap fit -c configs/$(DATA).yaml -c configs/methods/$(METHOD).yaml \
	--seed_everything $(SEED) --run_dir $(RUN) $(ARGS)
TEST = $(BIN)/negclap test -c $(RUN)/config.yaml --ckpt_path $(RUN)/checkpoints/best.ckpt

ifeq ($(DATA),chorales)  # everything that it needs ships with packages
export HF_HUB_OFFLINE ?= 1
READY_DATA := $(SET)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	touch $@

.PHONY: setup
setup: $(READY)  ## Make .venv with everything that is needed

$(SET): | $(READY)
	$(BIN)/negclap prepare chorales --out $(@D)

.PHONY: data
data: $(SET)  ## Build the built-in music set (about 6 minutes, 1.2 GB)

.PHONY: demo
demo: $(SET)  ## Train and test the baseline, the paper's combined model and negclap's, print all three
	for method in $(DEMO); do \
		$(MAKE) --no-print-directory train METHOD=$$method RUN=runs/demo/$$method || exit 1; \
	done
	$(BIN)/negclap report $(DEMO:%=runs/demo/%) --out runs/demo

$(LARGE_SET): | $(SET)  # the small set's clips are among its own
	test -d $(@D)/audio || { mkdir -p $(@D) && cp -Rl $(dir $(SET))audio $(@D)/; }
	$(BIN)/negclap prepare chorales --out $(@D) --train-clips 12000

.PHONY: study
study: $(READY) $(if $(SMALL),,$(SET) $(LARGE_SET))  ## Run the study (experiments/study), cell by cell, JOBS at a time; SMALL=1 is minutes long
	$(BIN)/python experiments/study/study.py $(if $(SMALL),--small) $(if $(ONLY),--only $(ONLY)) $(if $(JOBS),--jobs $(JOBS)) $(if $(REPORT),--report-only)

.PHONY: soundfont
soundfont: $(READY)  ## How a run does with sounds it never heard: RUN=... SOUNDFONT=X.sf2
	@test -f "$(SOUNDFONT)" || { echo "make soundfont: say SOUNDFONT=X.sf2 and RUN=a run folder"; exit 2; }
	$(BIN)/negclap prepare chorales --out $(OTHER_SET) $(SOUNDFONT_SET) --soundfont $(SOUNDFONT)
	$(BIN)/negclap prepare chorales --out data/soundfont/own $(SOUNDFONT_SET)
	$(BIN)/python experiments/soundfont/soundfont.py $(RUN) \
		--own data/soundfont/own/manifest.jsonl --other $(OTHER_SET)/manifest.jsonl

.PHONY: sweep
sweep: $(READY) $(SET)  ## Search the loss weights: LOCAL=1 here, else how to start W&B's sweep
ifdef LOCAL
	$(BIN)/negclap sweep $(SWEEP) --trials $(TRIALS) --out runs/sweeps/local
else
	@echo "$(BIN)/wandb sweep --project negclap $(SWEEP)"
	@echo "$(BIN)/wandb agent ENTITY/negclap/ID   # the id that it printed; as many agents as you like"
endif

.PHONY: train
train: $(READY) $(READY_DATA)  ## Train and test one model: DATA=chorales METHOD=combined SEED=0
	$(FIT)
	$(TEST)

.PHONY: train-ddp
train-ddp: $(READY) $(READY_DATA)  ## The same on GPUS=N devices of this machine (without GPUs: N processes)
	$(FIT) --trainer.strategy ddp --trainer.devices $(GPUS)
	$(TEST)

.PHONY: train-nodes
train-nodes: $(READY) $(READY_DATA)  ## Train on NODES=N machines of GPUS=N devices; call it on each of them, HEAD=host:port
	$(BIN)/torchrun --nnodes $(NODES) --nproc-per-node $(GPUS) --rdzv-backend c10d \
		--rdzv-endpoint $(HEAD) --rdzv-id $(subst /,-,$(RUN)) --no-python \
		$(FIT) --trainer.strategy ddp --trainer.devices $(GPUS) --trainer.num_nodes $(NODES)

.PHONY: test
test: $(READY)  ## Pass the tests
	$(BIN)/pytest

.PHONY: test-slow
test-slow: $(READY)  ## Pass the tests that take minutes
	$(BIN)/pytest -m slow

.PHONY: test-browser
test-browser: $(READY)  ## Pass the tests of the pages in a headless Chromium (apt-get install chromium)
	$(BIN)/pytest -m browser

.PHONY: check
check: $(READY)  ## Lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs
docs: $(READY)  ## Build the documentation site into site/, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

.PHONY: app
app: $(READY)  ## Search in a page: INDEX=music.index
	$(BIN)/negclap app $(INDEX)

.PHONY: bench
bench: $(READY)  ## Run the benchmarks that need nothing else (benchmarks/README.md has all)
	for benchmark in text step losses retrieval manifest msd; do \
		$(BIN)/python benchmarks/$$benchmark.py || exit 1; \
	done

.PHONY: clean
clean:  ## Remove runs and caches, not the environment and not the data
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
