# Needs Python >= 3.11 and make. Everything else is installed into .venv by the first target.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test fuzz verify-cuda lint bench docs gallery chapter try browser retrain clean

# enhances a synthetic Sun: writes demo/enhanced.fits and demo/demo.png, prints the errors
demo: $(INSTALLED)
	$(BIN)/python -m enhance_np demo --output demo

# one worker runs all tests of a file, because they share fixtures
test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# tries SEEDs from there on: COUNT damaged files of each kind, KILLS of each signal, COUNT / 10 lines
fuzz: SEED ?= 0
fuzz: COUNT ?= 3000
fuzz: KILLS ?= 40
fuzz: $(INSTALLED)
	FUZZ_SEED=$(SEED) FUZZ_COUNT=$(COUNT) FUZZ_KILLS=$(KILLS) FUZZ_LINES=$$(($(COUNT) / 10)) \
	  $(BIN)/python -m pytest -s tests/system

# verifies every kernel in every case, order of threads and supported architecture; needs no GPU
verify-cuda: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[plot,test,verify-cuda]"
	VERIFY_CUDA=1 $(BIN)/python -m pytest tests/kernels tests/cudaproof
	$(BIN)/python tests/kernels/mutants.py

lint: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	for question in layers predict scaling train; do \
	  $(BIN)/python -m bench.speed.$$question || exit 1; \
	done

# writes the site, docs/_build/index.html
docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env docs docs/_build

# writes docs/gallery/README.md by running its examples
gallery: $(INSTALLED)
	$(BIN)/python docs/gallery/build.py

# writes the figures of docs/chapter.md
chapter: $(INSTALLED)
	$(BIN)/python -m enhance_np chapter --out build/chapter --overwrite --device cpu
	for figure in 05_degraded 08_halves 09_field 11_richardson_lucy; do \
	  cp build/chapter/$$figure.png docs/chapter/ || exit 1; \
	done

# installs what drives the tests of pages: playwright, and Chromium on Debian and Ubuntu, as root
browser: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable ".[browser]"
	command -v chromium chromium-browser google-chrome || \
	  { apt-get update --quiet && apt-get install --quiet --yes chromium; }

# writes docs/try/index.html, the page that enhances a file in the browser
try: $(INSTALLED)
	$(BIN)/python docs/try/build.py

# makes the pairs of the recipes, the four shipped networks, their card and docs/confidence.md. Takes
# hours; if it is interrupted, it continues where it was stopped.
#   FIELDS: folder of the recipes' fields; without it, only synthetic scenes are used
#   HMI: folder of the card's real active region, optional
#   COUNT, EPOCHS: number of patches, and of epochs of each training, for a trial: `make retrain
#   COUNT=800 EPOCHS=1` takes more than an hour (reproduced_training.py needs its 200 steps) and
#   overwrites the weights with bad ones. It replaces the pairs in runs/, and its checkpoints can
#   only be continued with the same COUNT and EPOCHS: delete runs/ before a real run
retrain: $(INSTALLED)
	mkdir -p runs
	for type in intensity blos; do \
	  $(BIN)/enhance-np degrade --recipe $$type --out runs/$$type.h5 --keep --overwrite \
	    $(if $(FIELDS),--fields $(FIELDS)) \
	    $(if $(COUNT),--count $(COUNT) --validation $(COUNT) --test $(COUNT)) || exit 1; \
	done
	$(call train,intensity,small,$(SMALL) --epochs $(or $(EPOCHS),5))
	$(call train,intensity,small,$(call on,intensity_small,1.5e-3) --epochs $(or $(EPOCHS),5),_on)
	$(call train,blos,small,$(SMALL) --epochs $(or $(EPOCHS),4))
	$(call train,blos,small,$(call on,blos_small,1.5e-3) --epochs $(or $(EPOCHS),5),_on)
	$(call train,intensity,default,$(DEFAULT) --epochs $(or $(EPOCHS),4))
	$(call train,intensity,default,$(call on,intensity_default,1e-3) --epochs $(or $(EPOCHS),4),_on)
	$(call train,blos,default,$(DEFAULT) --epochs $(or $(EPOCHS),3))
	$(call train,blos,default,$(call on,blos_default,1e-3) --epochs $(or $(EPOCHS),4),_on)
	for type in intensity blos; do \
	  $(BIN)/enhance-np calibrate --weights $$(for model in default small; do \
	    echo enhance_np/models/$${type}_$$model.h5; done) --recipe $$type \
	    $(if $(FIELDS),--fields $(FIELDS)) || exit 1; \
	done
	$(BIN)/python -m bench.robustness.reproduced_training --pairs runs --write
	$(BIN)/python -m bench.quality.model_card --pairs runs $(if $(FIELDS),--fields $(FIELDS)) \
	  $(if $(HMI),--hmi $(HMI))
	$(BIN)/python -m bench.quality.wrong_psf $(if $(FIELDS),--fields $(FIELDS))
	$(BIN)/python -m bench.quality.reliability $(if $(FIELDS),--fields $(FIELDS))

# options of the first run, from fresh weights; of the second run, from the weights of the first
FRESH := --start contrast --freeze 0 --seed 1
SMALL := $(FRESH) --lr 2e-3 --depth 1 --filters 32
DEFAULT := $(FRESH) --lr 1.5e-3 --depth 5 --filters 32
on = --start runs/$(1).h5 --seed 2 --lr $(2)

# $(call train,TYPE,MODEL,OPTIONS,SUFFIX of the files in runs/): trains, and copies the weights to
# enhance_np/models. No weight decay, because L2
# kills filters (bench/TRIALS.md)
define train
	$(BIN)/enhance-np train --type $(1) --data runs/$(1).h5 --validation runs/$(1)_val.h5 \
	  --output runs/$(1)_$(2)$(4).h5 \
	  --l2 0 --batchsize 4 --schedule cosine --warmup 500 --clip 0.1 --continue $(3)
	cp runs/$(1)_$(2)$(4).h5 enhance_np/models/$(1)_$(2).h5
	cp runs/$(1)_$(2)$(4).csv runs/$(1)_$(2)$(4).png docs/models/
endef

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[plot,test]"
	touch $@

clean:
	rm -rf .venv build demo docs/_build docs/jupyter_execute
