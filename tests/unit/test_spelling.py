"""A variable whose name is nearly right is found, and a stranger's is left alone."""

from __future__ import annotations

import pytest

from config import variables
from rtms.configuration.spelling import Misspelt, misspelt

KNOWN = variables()

TYPING_ERRORS = [
    ("RECORD_STREAM", "RECORD_STREAMS"),
    ("RECALL_REGOIN", "RECALL_REGION"),
    ("RECALL_APIKEY", "RECALL_API_KEY"),
    ("ZOOM_CLIENTID", "ZOOM_CLIENT_ID"),
    ("ZOOM_SECRET_TOKENS", "ZOOM_SECRET_TOKEN"),
    ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
    ("DATABASE_URI", "DATABASE_URL"),
    ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ("LOGLEVEL", "LOG_LEVEL"),
    ("LOG_LEVLE", "LOG_LEVEL"),
    ("record_streams", "RECORD_STREAMS"),
]


@pytest.mark.parametrize(("name", "near"), TYPING_ERRORS)
def test_a_typing_error_is_found_in_the_file(name: str, near: str) -> None:
    assert misspelt(KNOWN, dotenv=[name], environ=[]) == (Misspelt(name, ".env", near),)


@pytest.mark.parametrize(
    ("name", "near"), [each for each in TYPING_ERRORS if each[0] != "TRUSTED_PROXY"]
)
def test_a_typing_error_is_found_in_the_environment(name: str, near: str) -> None:
    found = misspelt(KNOWN, dotenv=[], environ=["PATH", name, "HOME"])
    assert found == (Misspelt(name, "the environment", near),)


def test_what_begins_like_ours_is_told_of_the_file_alone() -> None:
    names = ["RECALL_KEY", "ZOOM_VERIFICATION", "NOTIFY_EVERYBODY_ON_CALL"]
    found = misspelt(KNOWN, dotenv=names, environ=[])
    assert [each.name for each in found] == sorted(names)
    assert found[1].name == "RECALL_KEY"
    assert found[1].near == "RECALL_API_KEY"
    assert misspelt(KNOWN, dotenv=[], environ=names) == ()


STRANGERS = """
PATH HOME LANG LC_ALL SHELL USER PWD TERM HOSTNAME TMPDIR PORTS HOSTS EDITOR no_proxy http_proxy
ALL_PROXY SSH_AUTH_SOCK DYNO RENDER RENDER_EXTERNAL_URL FLY_APP_NAME RAILWAY_ENVIRONMENT K_SERVICE
K_REVISION HEROKU_POSTGRESQL_AMBER_URL DATABASE_HOST DATABASE_NAME DATABASE_USER DATABASE_PASSWORD
TEST_DATABASE_URL PGADMIN_PASSWORD POSTGRES_PASSWORD SITE_ADDRESS AWS_ACCESS_KEY_ID SERVICE_PORT
KUBERNETES_PORT_443_TCP PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHON_DOTENV_DISABLED FLASK_APP
FLASK_SKIP_DOTENV GUNICORN_CMD_ARGS NO_COLOR COLUMNS PUBLIC_IP LOG_FILE CHROMIUM VIRTUAL_ENV
"""


def test_strangers_are_left_alone() -> None:
    assert misspelt(KNOWN, dotenv=[], environ=STRANGERS.split()) == ()


def test_what_is_right_is_left_alone() -> None:
    assert misspelt(KNOWN, dotenv=KNOWN, environ=KNOWN) == ()


def test_a_near_name_in_the_environment_is_nothing_where_the_right_one_is_set() -> None:
    assert misspelt(KNOWN, dotenv=["DATABASE_URL"], environ=["DATABASE_URI"]) == ()
    assert misspelt(KNOWN, dotenv=[], environ=["DATABASE_URI", "DATABASE_URL"]) == ()
