# Plain `make` prints the targets.
PYTHON ?= python3
VENV ?= .venv
DATA ?= controlled
CLASSIFICATION ?= data/corpora/classification
TEXT ?=
SPLITS ?= data/corpora/augmentation_splits
FLAGS ?=
# Systems of `make forgetting`, one a line: folder, encoder to probe its models as, the model that the line's others are held against
# (-: there is none), flags of train_encoder.py. Every model that a line leaves is probed and held against the teacher.
define SYSTEMS
pruned bert magnitude-0-seed-0 --recipe prune --method magnitude --sparsity 0 0.5 0.8 --model bert --data controlled --task TopConst --max-steps 300 --limit-dev 500
bits kdlsq_bert kdlsq-8-seed-0 --recipe kdlsq_bert --bits 8 4 2 --arms kdlsq --model bert --data controlled --task TopConst --teacher-steps 300 --max-steps 300 --limit-dev 500
distilled bert - --recipe tiny_bert --arms both --data controlled --task TopConst --teacher-steps 300 --general-steps 300 --intermediate-steps 300 --max-steps 300 --limit-dev 500
searched nas_bert - --recipe nas_bert --arms searched hand_made --max-steps 150 --supernet-share 2
endef
export SYSTEMS
# Orders of `make orders`, and what all are trained with, at most; the loss on held-out text that ends each training is LOSS.
ORDERS := --layer-pattern interleaved convolution_first varied --model lv_bert --checkpoint none --layers 12 --hidden-size 128 \
  --heads 2 --embedding-size 64 --max-length 64 --vocabulary 8000 --batch-size 32 --learning-rate 2e-3 --max-steps 4000 \
  --evaluate-every 50 --limit-dev 600
LOSS ?= 6.2
PROBES := --mix on --tasks SentLen TreeDepth BShift Tense SubjNum --limit 2000 --gradients 0 --measures weight_intervals
# Arms of C-BERT by the paper's classifiers, on the tables of positions SPLITS; sizes of a machine of two cores are in FLAGS.
ARMS := --recipe c_bert --classifiers encoder cnn lstm --seeds 0 1 2 --batch-size 64 --evaluate-every 100000
# An active conda environment is taken as it is, but for base, which is everybody's; else .venv is made.
CONDA := $(if $(filter base,$(CONDA_DEFAULT_ENV)),,$(CONDA_PREFIX))
ifeq ($(CONDA),)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
else
BIN := $(CONDA)/bin
INSTALLED := $(CONDA)/.bermo-probing-installed
endif

.PHONY: help setup look probe bermo search orders forgetting sentences test test-slow test-browser check bench notebooks lab results docs clean

help:  ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## everything that is needed, in the active conda environment, else in .venv

$(INSTALLED): pyproject.toml constraints.txt setup.py $(wildcard probing/kernels/*.h probing/kernels/*.cpp)
ifeq ($(CONDA),)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
else
# Without the pins: versions are those that conda has chosen.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
endif
	@touch $@

look: setup  ## a first look: the same as probe with at most 1,000 sentences of each split
	$(BIN)/python probing/run_senteval.py --model bermo --limit 1000

probe: setup  ## probe the embedded encoder, layer by layer and mixed: the main job
	$(BIN)/python probing/run_senteval.py --model bermo

test: setup  ## the unit tests: under two minutes, offline
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: setup  ## the tests that take longer: the real encoder, the real corpora
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile

test-browser: setup  ## the report, and the notebooks in JupyterLab, in a real browser (needs chromium)
	$(BIN)/python -m pytest -m browser

check: setup  ## style, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: setup  ## timings, side by side in one run: under ten minutes on any machine; BENCH="--quick --only training" for less
	$(BIN)/python -m tests.benchmarks $(BENCH)

notebooks: setup  ## execute the notebooks
	$(BIN)/python -m pytest -m slow tests/test_notebooks.py

lab: setup  ## JupyterLab on the newest run of your own under data/results, else on the stored sample
	$(BIN)/jupyter lab notebooks/01_quick_look.ipynb

docs: setup  ## the site, strictly and without a network: open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

results: setup  ## the README's picture and docs/results' table and figure, on DATA (default: the controlled corpus)
	$(BIN)/python probing/run_senteval.py --model bermo --data $(DATA) --output data/results/readme
	cp data/results/readme/figures/scores_by_layer.png data/figures/

bermo: setup  ## BERMo's claims about training, tried on the tasks of CLASSIFICATION: about two hours on two cores
	$(BIN)/python probing/replicate_bermo.py --data $(CLASSIFICATION) --workers 2 --threads 1

search: setup  ## LV-BERT's search on TEXT (default: the controlled corpus), then each order's layers probed on DATA
	$(BIN)/python probing/train_encoder.py --recipe lv_bert $(TEXT:%=--text %) --output data/results/search $(FLAGS)
	for model in data/results/search/models/*-seed-0; do \
	  $(BIN)/python probing/run_senteval.py --model lv_bert --mix on --data $(DATA) --checkpoint $$model \
	    --output data/results/search-probed/$${model##*/} || exit; \
	done

orders: setup  ## orders of LV-BERT trained on TEXT until one held-out loss, LOSS, and their sub-layers probed on DATA; resumes
	$(BIN)/python probing/train_encoder.py --recipe pretrain $(ORDERS) --until-dev-loss $(LOSS) $(TEXT:%=--text %) \
	  --output data/results/orders $(FLAGS)
	set --; for model in data/results/orders/models/*; do \
	  $(BIN)/python probing/run_senteval.py --model lv_bert --mix on --data $(DATA) --checkpoint $$model --limit 2000 \
	    --gradients 0 --controls bag_of_embeddings --output data/results/orders-probed/$${model##*/} || exit; \
	  set -- "$$@" data/results/orders-probed/$${model##*/}; \
	done; \
	$(BIN)/python -m analysis.orders data/results/orders "$$@"

forgetting: setup  ## what smaller encoders forgot of the embedded one, at which depth: some two hours; resumes
	$(BIN)/python probing/run_senteval.py --model bert $(PROBES) --data $(DATA) --output data/results/forgetting/teacher
	@echo "$$SYSTEMS" | while read -r name model twin flags; do \
	  place=data/results/forgetting/$$name; set --; \
	  $(BIN)/python probing/train_encoder.py $$flags $(FLAGS) --output $$place < /dev/null || exit; \
	  for trained in $$place/models/*; do \
	    probed=$$place-probed/$${trained##*/}; \
	    $(BIN)/python probing/run_senteval.py --model $$model $(PROBES) --data $(DATA) --checkpoint $$trained \
	      --output $$probed < /dev/null || exit; \
	    [ $${trained##*/} = $$twin ] || set -- "$$@" $$probed; \
	  done; \
	  [ $$twin = - ] || $(BIN)/python -m analysis.forgetting $$place-probed/$$twin "$$@" \
	    --output data/results/forgetting/$$name-against-twin < /dev/null || exit; \
	done
	$(BIN)/python -m analysis.forgetting data/results/forgetting/teacher data/results/forgetting/*-probed/* \
	  --output data/results/forgetting/against-teacher

sentences: setup  ## C-BERT's new sentences on the corpora of SPLITS, MPQA also without its leak, then arms probed: hours; resumes
	for table in $(SPLITS)/*.tsv; do \
	  keep=--no-keep-models; [ $${table##*/} != TREC.tsv ] || keep=--keep-models; \
	  $(BIN)/python probing/train_encoder.py $(ARMS) --data $(CLASSIFICATION) --splits $$table $$keep $(FLAGS) \
	    --output data/results/sentences/$$(basename $$table .tsv) || exit; \
	done
	$(BIN)/python probing/train_encoder.py $(ARMS) --data $(CLASSIFICATION) --splits $(SPLITS)/MPQA.tsv --drop-known \
	  --no-keep-models $(FLAGS) --output data/results/sentences/MPQA-without-known
	for model in data/results/sentences/TREC/models/none-1-encoder-* data/results/sentences/TREC/models/conditional-1-encoder-*; do \
	  $(BIN)/python probing/run_senteval.py --model bert $(PROBES) --data $(DATA) --checkpoint $$model \
	    --output data/results/sentences-probed/$${model##*/} || exit; \
	done
	for seed in 0 1 2; do \
	  $(BIN)/python -m analysis.compare data/results/sentences-probed/none-1-encoder-seed-$$seed \
	    data/results/sentences-probed/conditional-1-encoder-seed-$$seed; code=$$?; \
	  [ $$code = 0 ] || [ $$code = 3 ] || exit $$code; \
	done

clean:  ## remove .venv and all caches; a conda environment stays
	rm -rf $(VENV) site data/cache .pytest_cache .ruff_cache .import_linter_cache
