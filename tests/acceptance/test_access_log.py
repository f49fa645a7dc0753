"""gunicorn's access log, if it is switched on, has no authorization code."""

from __future__ import annotations

import pytest
import requests

from tests.servers import Server, wait_for

CODE = "a-code-that-is-a-secret"
FORMAT = "%(r)s ? %(q)s %(U)s {%({raw_uri}e)s} {%({query_string}e)s}"


@pytest.mark.environ(
    GUNICORN_CMD_ARGS=f"--access-logfile - --access-logformat '{FORMAT}'",
)
def test_an_authorization_code_is_not_in_the_access_log(server: Server) -> None:
    server.start()
    for path in ("/oauth-callback/zoom", "/oauth%2Dcallback/zoom", "/oauth-callback/zoom/"):
        requests.get(f"{server.url}{path}?code={CODE}", timeout=10)
    requests.get(f"{server.url}/healthz?shown=yes", timeout=10)
    wait_for(lambda: "shown=yes" in server.log(), "the access log")
    assert "/oauth-callback/zoom" in server.log()
    assert CODE not in server.log()
