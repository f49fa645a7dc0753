# make demo    run the server with stand-ins for Zoom and Recall, from webhook to video
#              (KEEP=1 keeps it running, with its dashboard and new meetings)
# make .env    create the settings from .env.example, with a password for the dashboard
# make run     run the server (needs .env)
# make test    run all tests (seven minutes on two cores)
# make test-fast   run the unit tests, and the integration tests on SQLite, without the slow ones
#              (half a minute)
# make check   check lint, format, types, and the links in the documentation
# make docs    serve the documentation as a site, at http://localhost:8001/
# make bench   measure the performance, beside an empty route and a plain webhook (25 minutes)
# make chaos   kill, stop and starve the server for longer than make test does (an hour)
# make fuzz    send 100,000 inputs to the routes (two minutes)
# make screenshots   take the screenshots of the dashboard in docs/screenshots (needs Chromium)
# Each installs what it needs in .venv, from the pinned requirements (install.py).

PYTHON ?= python3
# Most tests wait for processes, so there are more of these than cores.
TEST_PROCESSES ?= 3
BIN := .venv/bin
# Silences the theme's announcement of its successor.
export NO_MKDOCS_2_WARNING := 1
# Any Python can check an existing .venv.
INSTALL = @$(if $(shell command -v $(firstword $(PYTHON)) 2>&1),$(PYTHON),$(BIN)/python) install.py

.PHONY: demo run test test-fast check bench chaos fuzz screenshots docs format requirements clean runtime dev

demo: runtime
	@$(BIN)/python -m sandbox.demo $(if $(KEEP),--keep)

# The user's own file: created once, completely or not at all, and never overwritten.
.DELETE_ON_ERROR:

.env:
	@password=$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(12))') && umask 077 && \
	sed "s/^# ADMIN_PASSWORD=$$/ADMIN_PASSWORD=$$password/" .env.example > $@ && \
	echo "Created .env. The password of the dashboard (ADMIN_PASSWORD): $$password" && \
	echo "Now replace the four values that begin with replace-with-..."

run: runtime
	@$(BIN)/gunicorn app:app

# Each process runs one file at a time, in order: the slowest files come first.
PYTEST = @$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test: dev
	$(PYTEST)

test-fast: dev
	$(PYTEST) -m "not postgresql and not slow" tests/integration tests/unit

check: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mkdocs build --strict

docs: dev
	@$(BIN)/mkdocs serve

bench: dev
	@$(BIN)/python -m bench

chaos: dev
	@CHAOS_ROUNDS=100 $(BIN)/python -m pytest tests/chaos

fuzz: dev
	@$(BIN)/python -m tests.fuzz --inputs 100000

screenshots: dev
	@SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/browser -k width

format: dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Update the pins to the newest compatible versions, for Python 3.11 and newer.
requirements: dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" --output-file requirements.txt requirements.in
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv

# install.py creates `.venv` completely or not at all.
runtime:
	$(INSTALL) requirements.txt

dev:
	$(INSTALL) requirements-dev.txt
