"""The dashboard as somebody with a browser uses it."""

from __future__ import annotations

import re

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery staple"


def browser(app: Flask) -> FlaskClient:
    """A client that asks for pages."""
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html,application/xhtml+xml,*/*;q=0.8"
    return client


def log_in(app: Flask, password: str = PASSWORD) -> FlaskClient:
    """A client that has given the password."""
    client = browser(app)
    answer = client.post("/login", data={"password": password})
    assert answer.status_code == 303, answer.text
    return client


def csrf_token(page: TestResponse) -> str:
    """The token that a page's forms carry."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]
