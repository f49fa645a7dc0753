# make demo    the whole way on a bare machine, with stand-ins for Zoom and Recall
#              (KEEP=1 leaves the server up, with its dashboard and meetings that come and go)
# make .env    the server's settings, from .env.example, with a password for the dashboard
# make run     the server for real: needs .env
# make test    all tests (some eight minutes on two cores)
# make test-fast   those of the units, and of the database on SQLite (half a minute)
# make check   lint, format, types, and the documentation's links
# make docs    the documentation as a site, at http://localhost:8001/
# make bench   how fast it is, beside an empty route and a plain webhook (25 minutes)
# make chaos   kill, stop and starve it for longer than make test does (an hour)
# make fuzz    100,000 inputs to its routes (two minutes)
# make screenshots   pictures of the dashboard's pages, in docs/screenshots (needs Chromium)
# Each builds what it needs in .venv, from the pinned requirements (install.py).

PYTHON ?= python3
TEST_PROCESSES ?= 2
BIN := .venv/bin
# The theme announces its successor at each run otherwise.
export NO_MKDOCS_2_WARNING := 1
# Any Python will do to look at a .venv that is there.
INSTALL = @$(if $(shell command -v $(firstword $(PYTHON)) 2>&1),$(PYTHON),$(BIN)/python) install.py

.PHONY: demo run test test-fast check bench chaos fuzz screenshots docs format requirements clean runtime dev

demo: runtime
	@$(BIN)/python -m sandbox.demo $(if $(KEEP),--keep)

# A file of people's own: made once and whole, and never again.
.DELETE_ON_ERROR:

.env:
	@password=$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(12))') && umask 077 && \
	sed "s/^# ADMIN_PASSWORD=$$/ADMIN_PASSWORD=$$password/" .env.example > $@ && \
	echo "Made .env. The dashboard's password, which stands there as ADMIN_PASSWORD: $$password" && \
	echo "Now put your values in the place of the four replace-with-... in it."

run: runtime
	@$(BIN)/gunicorn app:app

# A process takes a file at a time, in their order: what takes longest comes first.
PYTEST = @$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test: dev
	$(PYTEST)

test-fast: dev
	$(PYTEST) -m "not postgresql" tests/integration tests/unit

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

# Pin anew: the newest versions that fit, for every Python from 3.11 on.
requirements: dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" --output-file requirements.txt requirements.in
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv

# See install.py: `.venv` is made whole or not at all.
runtime:
	$(INSTALL) requirements.txt

dev:
	$(INSTALL) requirements-dev.txt
