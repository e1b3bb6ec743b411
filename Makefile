# Every target that needs the environment makes it first; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
CH ?=
export OMP_NUM_THREADS ?= 1
unexport PYTHONDONTWRITEBYTECODE # every notebook imports the same modules

.DEFAULT_GOAL := help
.PHONY: help venv book colab serve pdf epub test web run stamp lint bench weigh links constraints lock audit versions clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

venv: ## make or refresh the environment, .venv
	@command -v $(PYTHON) >/dev/null || { \
		echo "make: $(PYTHON) is not there; install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) tools/venv.py

book: venv ## build the book into _build/html
	@$(BIN)/python tools/build.py

colab: book ## build the book and copy its edition for Colab to _build/colab
	@rm -rf _build/colab
	@cp -R _build/html/colab _build/colab
	@echo "colab: see _build/colab"

serve: book ## build the book and serve it on this machine
	@echo "open http://127.0.0.1:8000 (stop with Ctrl-C)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

pdf: book ## build the book and print it as one PDF, with Chromium
	@$(BIN)/python tools/browser.py
	@$(BIN)/python tools/pdf.py

epub: book ## build the book and make one EPUB of it, for e-readers
	@$(BIN)/python -m pip install --quiet -r requirements-web.txt
	@$(BIN)/python tools/epub.py

test: venv ## run the unit tests and every notebook, strictly
	@$(BIN)/python -m pytest -q --nbval -n 2
	@echo "test: the built book was left out; make book, then make web"

web: venv ## test the built book in a browser (after `make book`)
	@$(BIN)/python tools/browser.py
	@$(BIN)/python -m pytest -q -n 3 tests/test_html.py tests/web --deselect tests/web/test_speed.py
	@$(BIN)/python -m pytest -q tests/web/test_speed.py

run: venv ## execute notebooks and store their outputs: all, CH=normal, or CH=path
	@$(BIN)/python tools/run.py $(CH)

stamp: venv ## write the setup cell and the badges with the repository's address
	@$(BIN)/python tools/stamp.py

lint: venv ## check style, spelling, stored notebooks
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "lint: run .venv/bin/ruff format ."; exit 1; }
	@$(BIN)/codespell
	@git ls-files '*.ipynb' | xargs $(BIN)/nbstripout --verify --keep-output --keep-count --keep-id || { \
		echo "lint: a notebook holds an editor's metadata; run make run CH=<notebook>"; exit 1; }

bench: venv ## time lib against torch on the same work; writes benchmarks/speed.md
	@OMP_NUM_THREADS=2 $(BIN)/python benchmarks/speed.py

weigh: venv ## load pages beside a default build's; writes benchmarks/pages.md
	@$(BIN)/python tools/browser.py
	@PYTHONPATH=tools $(BIN)/python -m benchmarks.pages

links: venv ## check every link that leaves the book (needs the network)
	@$(BIN)/jupyter-book build --all --quiet --builder linkcheck --path-output _build/links .

constraints: venv ## pin again what comes along with requirements.txt
	@$(PYTHON) tools/venv.py --constraints

lock: ## pin everything again, with hashes, for CI (needs the network)
	@$(PYTHON) tools/supply.py lock

audit: ## ask what is known against the packages that are locked (needs the network)
	@$(PYTHON) tools/supply.py audit

versions: ## run everything elsewhere: V=colab, oldest, newest, image or processors
	@$(PYTHON) tools/versions.py $(V)

clean: ## remove what was built; the environment stays
	rm -rf _build .cache .pytest_cache .ruff_cache .hypothesis
