# make demo    the whole way on a bare machine, with stand-ins for Zoom and Recall
#              (KEEP=1 leaves the server up, with its dashboard and meetings that come and go)
# make run     the server for real: needs .env (see .env.example)
# make test    all tests
# make check   lint, format and types
# make bench   how fast it is, beside an empty route and a plain webhook (25 minutes)
# make chaos   kill, stop and starve it for longer than make test does (an hour)
# make fuzz    100,000 inputs to its routes (two minutes)
# make screenshots   pictures of the dashboard's pages, in docs/screenshots (needs Chromium)
# Each builds what it needs in .venv, from the pinned requirements.

PYTHON ?= python3
TEST_PROCESSES ?= 2
BIN := .venv/bin

.PHONY: demo run test check bench chaos fuzz screenshots format requirements clean

demo: .venv/runtime
	@$(BIN)/python -m sandbox.demo $(if $(KEEP),--keep)

run: .venv/runtime
	@test -f .env || echo "There is no .env: the configuration comes from the environment only."
	@$(BIN)/gunicorn app:app

test: .venv/dev
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/dev
	@$(BIN)/python -m bench

chaos: .venv/dev
	@CHAOS_ROUNDS=100 $(BIN)/python -m pytest tests/chaos

fuzz: .venv/dev
	@$(BIN)/python -m tests.fuzz --inputs 100000

screenshots: .venv/dev
	@SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/browser -k width

format: .venv/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Pin anew: the newest versions that fit, for every Python from 3.11 on.
requirements: .venv/dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" --output-file requirements.txt requirements.in
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}. Try: make PYTHON=python3.11 ...")'
	@echo "Making .venv ..."
	@$(PYTHON) -m venv .venv

.venv/runtime: requirements.txt deploy/flask_command.py | .venv/bin/python
	@echo "Installing what the server needs; this takes a few seconds ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@$(BIN)/python deploy/flask_command.py
	@touch $@

.venv/dev: requirements-dev.txt deploy/flask_command.py | .venv/bin/python
	@echo "Installing what the server, its tests and checks need; this takes a minute ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@$(BIN)/python deploy/flask_command.py
	@touch $@ .venv/runtime
