# Each target that needs the environment creates it first.
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
SOUNDFONT_SET := --clips 2000 --train_clips 16
OTHER_SET = data/soundfont/$(notdir $(basename $(SOUNDFONT)))
DEMO := baseline combined negclap
TRIALS ?= 20
BUILT_IN_GROUPS := {test: ["ichbinsoftware, test", "rendered, test", "sampled, test"], validation: ["ichbinsoftware, validation", "rendered, validation", "sampled, validation"]}
SWEEP := configs/sweeps/loss_weights.yaml
RUN ?= runs/$(DATA)/$(METHOD)-$(SEED)
ARGS ?=
FIT = $(BIN)/negclap fit -c configs/$(DATA).yaml -c configs/methods/$(METHOD).yaml \
	--seed_everything $(SEED) --run_dir $(RUN) $(ARGS)
TEST = $(BIN)/negclap test -c $(RUN)/config.yaml --ckpt_path $(RUN)/checkpoints/best.ckpt

ifeq ($(DATA),chorales)  # needs nothing from a model hub
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
setup: $(READY)  ## Create .venv with the tested versions of everything

$(SET): | $(READY)
	$(BIN)/negclap prepare chorales --out $(@D)

.PHONY: data
data: $(SET)  ## Build the built-in music set (about 5 minutes, 1.2 GB)

.PHONY: demo
demo: $(SET)  ## Train and test the baseline, the paper's combined method and negclap's recipe; teach the baseline
	for method in $(DEMO); do \
		$(MAKE) --no-print-directory train METHOD=$$method RUN=runs/demo/$$method || exit 1; \
	done
	rm -rf runs/demo/taught
	$(BIN)/negclap teach --model runs/demo/baseline --captions $(SET) --out runs/demo/taught trainer.max_epochs=4
	$(BIN)/negclap test -c runs/demo/taught/config.yaml
	$(BIN)/negclap report $(DEMO:%=runs/demo/%) runs/demo/taught --out runs/demo

$(LARGE_SET): | $(SET)  # contains the clips of the small set
	test -d $(@D)/audio || { mkdir -p $(@D) && cp -Rl $(dir $(SET))audio $(@D)/; }
	$(BIN)/negclap prepare chorales --out $(@D) --train_clips 12000

.PHONY: study
study: $(READY) $(if $(SMALL)$(REPORT),,$(SET) $(LARGE_SET))  ## Run the study (experiments/study), JOBS cells at a time; SMALL=1 takes minutes
	$(BIN)/python experiments/study/study.py $(if $(SMALL),--small) $(if $(ONLY),--only $(ONLY)) $(if $(JOBS),--jobs $(JOBS)) $(if $(REPORT),--report_only)

.PHONY: results
results: $(READY)  ## Write docs/results.md and the table of README.md from the records in experiments/
	$(BIN)/python experiments/results_page.py

.PHONY: soundfont
soundfont: $(READY)  ## Evaluate a run on another SoundFont: RUN=... SOUNDFONT=X.sf2
	@test -f "$(SOUNDFONT)" || { echo "make soundfont needs SOUNDFONT=X.sf2 and RUN=RUN_FOLDER"; exit 2; }
	$(BIN)/negclap prepare chorales --out $(OTHER_SET) $(SOUNDFONT_SET) --soundfont '[$(SOUNDFONT)]'
	$(BIN)/negclap prepare chorales --out data/soundfont/own $(SOUNDFONT_SET)
	$(BIN)/python experiments/soundfont/soundfont.py $(RUN) \
		--own data/soundfont/own/manifest.jsonl --other $(OTHER_SET)/manifest.jsonl

.PHONY: sweep
sweep: $(READY) $(SET)  ## Search the loss weights with Optuna: LOCAL=1; without it, print the commands of W&B
ifdef LOCAL
	$(BIN)/negclap sweep $(SWEEP) --trials $(TRIALS) --out runs/sweeps/local
else
	@echo "$(BIN)/wandb sweep --project negclap $(SWEEP)"
	@echo "$(BIN)/wandb agent ENTITY/negclap/ID   # ID is printed by the line above; start any number of agents"
endif

.PHONY: train
train: $(READY) $(READY_DATA)  ## Train and test a model: DATA=chorales METHOD=combined SEED=0
	$(FIT)
	$(TEST)

.PHONY: train-ddp
train-ddp: $(READY) $(READY_DATA)  ## The same on GPUS=N devices of this machine (without GPUs, N processes)
	$(FIT) --trainer.strategy ddp --trainer.devices $(GPUS)
	$(TEST)

.PHONY: train-nodes
train-nodes: $(READY) $(READY_DATA)  ## Train on NODES=N machines of GPUS=N devices; run it on each, HEAD=host:port
	$(BIN)/torchrun --nnodes $(NODES) --nproc-per-node $(GPUS) --rdzv-backend c10d \
		--rdzv-endpoint $(HEAD) --rdzv-id $(subst /,-,$(RUN)) --no-python \
		$(FIT) --trainer.strategy ddp --trainer.devices $(GPUS) --trainer.num_nodes $(NODES)

.PHONY: test
test: $(READY)  ## Run the tests
	$(BIN)/pytest

.PHONY: test-slow
test-slow: $(READY)  ## Run the tests that take minutes each
	$(BIN)/pytest -n 0 -m slow

.PHONY: test-browser
test-browser: $(READY)  ## Run the browser tests in a headless Chromium (apt-get install chromium)
	$(BIN)/pytest -n 0 -m browser

.PHONY: check
check: $(READY)  ## Check lint, format, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs
docs: $(READY)  ## Build the documentation site into site/html; warnings are errors
	$(BIN)/python docs/build.py

.PHONY: search
search: $(READY)  ## Index a folder of music with the built-in model, and open the search page: MUSIC=~/Music
	@test -d "$(MUSIC)" || { echo "make search needs MUSIC=FOLDER"; exit 2; }
	$(BIN)/negclap index "$(MUSIC)" --out runs/music.index
	$(BIN)/negclap app runs/music.index

.PHONY: built-in
built-in: $(READY)  ## Make the built-in model from the stems of experiments/built_in/README.md: STEMS=folder
	@test -d "$(STEMS)" || { echo "make built-in needs STEMS=FOLDER (experiments/built_in/README.md)"; exit 2; }
	$(BIN)/python experiments/built_in/ledger.py "$(STEMS)"
	$(BIN)/negclap prepare stems --audio "$(STEMS)" --out data/built-in --mapping experiments/built_in/names.yaml \
		--groups '$(BUILT_IN_GROUPS)' --validation_mixes 256 --test_mixes 512
	rm -rf runs/built-in
	$(BIN)/python experiments/built_in/train.py data/built-in runs/built-in/untaught
	$(BIN)/negclap teach --model runs/built-in/untaught --out runs/built-in/taught \
		--vocabulary runs/built-in/vocabulary.json "data.held_out=[]" trainer.max_epochs=4
	$(BIN)/python experiments/built_in/finish.py runs/built-in/taught data/built-in

.PHONY: app
app: $(READY)  ## Open the search page: INDEX=music.index
	$(BIN)/negclap app $(INDEX)

.PHONY: bench
bench: $(READY)  ## Run the benchmarks that need no extra packages (benchmarks/README.md lists all)
	for benchmark in text step losses retrieval manifest htsat msd; do \
		$(BIN)/python benchmarks/$$benchmark.py || exit 1; \
	done

.PHONY: clean
clean:  ## Remove runs and caches; keep the environment and the data
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
