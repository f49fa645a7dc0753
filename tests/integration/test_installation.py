"""The page for a user who added the app in Zoom."""

from __future__ import annotations

import pytest
from flask import Flask
from structlog.testing import capture_logs

CALLBACK = "/oauth-callback/zoom"
CODE = "a-code-that-is-a-secret"


@pytest.mark.parametrize(
    ("query", "status", "heading"),
    [
        ("", 200, "The app is installed"),
        (f"?code={CODE}&state=abc", 200, "The app is installed"),
        ("?error=access_denied", 200, "The installation was cancelled"),
        ("?error=access_denied&error_description=nope", 200, "The installation was cancelled"),
        ("?error=server_error", 400, "The app was not installed"),
        ("?error=%ff%00", 400, "The app was not installed"),
    ],
)
def test_the_page_says_what_became_of_the_installation(
    app: Flask, query: str, status: int, heading: str
) -> None:
    answer = app.test_client().get(CALLBACK + query)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert answer.text.startswith("<!doctype html>")
    assert '<html lang="en">' in answer.text
    assert f"<h1>{heading}</h1>" in answer.text
    assert f"<title>{heading} " in answer.text


@pytest.mark.parametrize("name", ["code", "state", "error", "error_description", "other"])
def test_nothing_of_the_query_is_on_the_page_or_in_the_log(app: Flask, name: str) -> None:
    with capture_logs() as logged:
        answer = app.test_client().get(CALLBACK, query_string={name: f"<b>{CODE}</b>"})
    assert CODE not in answer.text + str(answer.headers) + str(logged)


def test_the_page_runs_no_script_and_sends_its_address_nowhere(app: Flask) -> None:
    answer = app.test_client().get(f"{CALLBACK}?code={CODE}")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert "<script" not in answer.text


@pytest.mark.environ(ADMIN_PASSWORD="a password of the tests")
def test_the_page_needs_no_login(app: Flask) -> None:
    assert app.test_client().get(CALLBACK).status_code == 200
