# Every target sets up what it needs in .venv; that takes two minutes and 5 GB the first time and nothing afterwards.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
.PHONY: demo test check lint types docs bench gallery screenshots clean

demo: .venv/ready
	@echo "== painting assets/content/village.jpg like assets/style/starry-hills.jpg"
	$(BIN)/vggapps stylize assets/content/village.jpg assets/style/starry-hills.jpg --force -o demo.png

test: .venv/ready
	@echo "== running the tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile  # a process a core, with one thread each

check: lint types docs test

lint: .venv/ready
	@echo "== lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	@echo "== types"
	$(BIN)/mypy

docs: .venv/ready
	@echo "== building the documentation into site/"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/ready
	@echo "== benchmarks (minutes; best on an idle machine)"
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/stylize.py
	$(BIN)/python benchmarks/losses.py
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/visualize.py
	$(BIN)/python benchmarks/explain.py --methods grad-cam layer-cam integrated-gradients lrp
	$(BIN)/python benchmarks/web.py

gallery: .venv/ready
	@echo "== remaking the pictures of README and docs"
	$(BIN)/python apps/gallery.py

# The stamp is newer than the files that say what is installed, or the installation runs again.
.venv/ready: pyproject.toml constraints.txt
	@echo "== installing vggapps and what it needs into .venv (about two minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --quiet --upgrade "pip>=25.1"
	@$(PIP) install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

screenshots: .venv/ready
	@echo "== remaking the screens of docs/web.md (needs Chromium)"
	$(BIN)/python apps/screenshots.py

clean:
	rm -rf .venv dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
