"""No secret is in anything that the server writes: a life with every kind of trouble, at the most
talkative level, then a search of all of it for each secret of the run, in every usual spelling."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from config import Config
from models import CONNECTS, Base
from rtms.db.database import Database
from sandbox import Fault, RecallSandbox, Stream, ZoomApiSandbox, ZoomSandbox, events
from sandbox.zoom import sign, stringify
from tests.conftest import database_url
from tests.servers import Server, wait_for

__all__ = ["database_url"]  # each engine has words of its own

CLIENT_ID = "client-id"
SECRETS = {
    # Characters that each spelling writes in another way.
    "ZOOM_SECRET_TOKEN": "zoom+secret/of=the&run'1",
    "ZOOM_CLIENT_SECRET": "client+secret/of=the&run'2",
    "ZOOM_S2S_CLIENT_SECRET": "s2s+secret/of=the&run'10",
    "TOKEN_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"a key for tokens of the run, 11!").decode(),
    "RECALL_API_KEY": "recall+key/of=the&run'3",
    "RECALL_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"recall hook secret of run 4").decode(),
    "NOTIFY_SECRET": "whsec_" + base64.b64encode(b"notify hook secret of run 5").decode(),
    "ADMIN_PASSWORD": "admin+password/of=the&run'8",
    "METRICS_TOKEN": "metrics-token-of-the-run-9",
}
PASSWORD = "database+password&run'6"
HOOK_TOKEN = "hook-token-of-the-run-7"


def spellings(secret: str) -> set[str]:
    """The ways in which a secret could be written."""
    raw = secret.encode()
    found = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        html.escape(secret),
        raw.hex(),
        raw.hex().upper(),
        secret[::-1],
        secret.removeprefix("whsec_"),
    }
    for shift in range(3):  # base64 of any text that holds it
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"x" * shift + raw)[4:-4].decode())
    return found


def test_every_secret_setting_is_one_of_the_run() -> None:
    with_a_secret_inside = {"DATABASE_URL", "NOTIFY_URL", "ARCHIVE_URL", "RECORDING_CONFIG"}
    settings = {each.name.upper().removesuffix("S") for each in fields(Config) if not each.repr}
    assert settings == SECRETS.keys() | with_a_secret_inside


@pytest.fixture
def recall() -> Iterator[RecallSandbox]:
    with RecallSandbox(
        api_key=SECRETS["RECALL_API_KEY"],
        client_id=CLIENT_ID,
        client_secret=SECRETS["ZOOM_CLIENT_SECRET"],
        processing_seconds=0.0,
    ) as sandbox:
        yield sandbox


@pytest.fixture
def zoom_api() -> Iterator[ZoomApiSandbox]:
    with ZoomApiSandbox(
        client_secret=SECRETS["ZOOM_S2S_CLIENT_SECRET"], rtms_client_id=CLIENT_ID
    ) as sandbox:
        yield sandbox


@pytest.fixture
def server(
    database_url: str, recall: RecallSandbox, zoom_api: ZoomApiSandbox, tmp_path: Path
) -> Iterator[Server]:
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":  # which trusts everybody here
        url = url.set(password=PASSWORD)
    made = Server(
        {
            **SECRETS,
            **zoom_api.environ,
            "ZOOM_CLIENT_ID": CLIENT_ID,
            "RECALL_BASE_URL": recall.url,
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "NOTIFY_URL": f"http://127.0.0.1:1/{HOOK_TOKEN}",  # nobody listens
            "LOG_LEVEL": "DEBUG",
            "RECALL_TIMEOUT_SECONDS": "2",
        },
        tmp_path / "server.log",
    )
    if url.get_backend_name() == "postgresql":
        assert made.flask("db", "upgrade").returncode == 0
    yield made
    made.kill()


def test_no_secret_of_a_run_is_in_anything_it_wrote(
    server: Server, recall: RecallSandbox, zoom_api: ZoomApiSandbox, tmp_path: Path
) -> None:
    server.start()
    told: list[str] = []
    signatures: list[str] = []
    streams = [Stream() for _ in range(7)]
    endpoint = f"{server.url}/zoom-webhook"

    def post(body: object, token: str = SECRETS["ZOOM_SECRET_TOKEN"], age: int = 0) -> None:
        raw, stamp = stringify(body), str(int(time.time()) - age)
        signatures.append(sign(token, stamp, raw).removeprefix("v0="))
        headers = {"x-zm-request-timestamp": stamp, "x-zm-signature": f"v0={signatures[-1]}"}
        answer = requests.post(endpoint, data=raw, headers=headers, timeout=20)
        told.append(f"{answer.headers}{answer.text}")

    with ZoomSandbox(endpoint, SECRETS["ZOOM_SECRET_TOKEN"], 20) as zoom:
        assert zoom.validate().ok
    troubles = [
        Fault(kind="status", status=400, body=f"no {SECRETS['RECALL_API_KEY']} is known"),
        Fault(kind="status", status=401, body=f"Token {SECRETS['RECALL_API_KEY']}"),
        Fault(kind="status", status=429, retry_after=0.1),
        Fault(kind="firewall"),
        Fault(kind="reset_after"),
        Fault(kind="not_json"),
    ]
    for number, stream in enumerate(streams):
        recall.clear_faults()
        if number:
            recall.add_fault(troubles[number - 1])
        post(events.started(stream))
        wait_for(lambda: is_at_rest(server), "an end")
    recall.end_stream(streams[0].rtms_stream_id)
    post(events.stopped(streams[0], 18))
    echo = f"no {SECRETS['ZOOM_S2S_CLIENT_SECRET']} is known"
    zoom_api.begin_meeting(streams[1])
    zoom_api.add_fault("status", path="stream", status=400, body=echo, times=None)
    zoom_api.add_fault("status", path="token", status=400, body=json.dumps({"error": echo}))
    for _ in range(2):  # without a token, and with one
        asked = server.flask("streams", "start", str(streams[1].meeting_id))
        told += [asked.stdout, asked.stderr]
    post(events.started(Stream()), token="another")
    post(events.started(Stream()), age=4000)
    post({"event": "endpoint.url_validation", "payload": {"plainToken": "v0:1:{}"}})
    for path in ("/healthz", "/readyz", "/nothing", "/zoom-webhook", "/recall-webhook"):
        told.append(requests.get(f"{server.url}{path}", timeout=20).text)
    told.append(requests.post(f"{server.url}/recall-webhook", data=b"{}", timeout=20).text)
    bearer = {"Authorization": f"Bearer {SECRETS['METRICS_TOKEN']}"}
    metrics = requests.get(f"{server.url}/metrics", headers=bearer, timeout=20)
    assert metrics.status_code == 200
    told.append(metrics.text)
    pages, session = as_the_operator(server)
    told += pages

    commands = [
        ["meetings", "refresh", "1"],
        ["meetings", "download", "1", "--to", str(tmp_path / "files")],
        ["meetings", "transcript", "1"],
        ["meetings", "show", "2"],
        ["meetings", "retry", "2"],
        ["events", "list", "--json", "--limit", "100"],
        ["meetings", "show", "99"],
        ["streams", "list"],
    ]
    for command in commands:
        ran = server.flask(*command)
        told += [ran.stdout, ran.stderr]
    link = server.flask("meetings", "link", "1").stdout.strip()  # whose purpose it is to show one
    assert "signature=" in link
    wait_for(lambda: "not notified" in server.log(), "the hook to be tried")

    told += [server.log(), everything_in_the_database(server)]
    bad = {"RECALL_REGION": "mars", "DATABASE_URL": f"mysql://user:{quote(PASSWORD)}@host/db"}
    gone = {"DATABASE_URL": f"postgresql://user:{quote_plus(PASSWORD)}@127.0.0.1:1/db"}
    for wrong in (bad, gone, {"NOTIFY_SECRET": "x" + SECRETS["NOTIFY_SECRET"]}):
        server.environ |= wrong
        ended = server.flask("meetings", "list")
        assert ended.returncode != 0
        told += [ended.stdout, ended.stderr]

    written = "\n".join(told)
    for word in (
        "not connected",
        "delivery refused",
        "connected",
        "RECALL_REGION",
        "not notified",
        "[hidden]",
    ):
        assert word in written  # what is searched is what it is taken for
    joins = [
        hmac.new(
            SECRETS["ZOOM_CLIENT_SECRET"].encode(),
            f"{CLIENT_ID},{stream.meeting_uuid},{stream.rtms_stream_id}".encode(),
            hashlib.sha256,
        ).hexdigest()
        for stream in streams
    ]
    (link_signature,) = re.findall(r"signature=([^&\s]+)", link)
    hidden = {**SECRETS, "the password": PASSWORD, "the hook's token": HOOK_TOKEN}
    hidden |= {f"a join signature {number}": text for number, text in enumerate(joins)}
    hidden |= {f"a delivery's signature {number}": text for number, text in enumerate(signatures)}
    hidden |= {f"a Zoom token {i}": text for i, text in enumerate(zoom_api.tokens.issued)}
    hidden |= {"a link's signature": link_signature, "the dashboard's session": session}
    found = [
        name
        for name, secret in hidden.items()
        if any(spelling in written for spelling in spellings(secret))
    ]
    assert found == []
    assert zoom_api.tokens.issued
    assert "signature=" not in written


def as_the_operator(server: Server) -> tuple[list[str], str]:
    """Use the dashboard.

    Returns:
        What it said, without the cookies that it set; the session's token.
    """
    said = []
    with requests.Session() as browser:
        for password in ("wrong" + SECRETS["ADMIN_PASSWORD"], SECRETS["ADMIN_PASSWORD"]):
            answer = browser.post(f"{server.url}/login", data={"password": password}, timeout=20)
            said.append(answer.text)
        assert "/logout" in answer.text  # the second one opened it
        for page in ("/meetings", "/meetings/1", "/meetings/2", "/events", "/events/1"):
            answer = browser.get(f"{server.url}{page}", timeout=20)
            assert answer.status_code == 200
            said.append(f"{answer.headers}{answer.text}")
        (cookie,) = browser.cookies.values()
    token, _, _its_signature = cookie.strip('"').rpartition(".")
    return said, token


def is_at_rest(server: Server) -> bool:
    database = Database(make_url(server.environ["DATABASE_URL"]))
    with database.read() as connection:
        states = connection.scalars(sa.select(CONNECTS.c.state)).all()
    database.dispose()
    return "pending" not in states


def everything_in_the_database(server: Server) -> str:
    """Every row of every table; of SQLite, every byte of its files too."""
    url = make_url(server.environ["DATABASE_URL"])
    database = Database(url)
    with database.read() as connection:
        tables = Base.metadata.sorted_tables
        rows = [str(connection.execute(sa.select(table)).all()) for table in tables]
    database.dispose()
    assert any("wss://" in text for text in rows)
    if database.is_sqlite:
        file = Path(url.database or "")
        rows += [path.read_bytes().decode("latin-1") for path in file.parent.glob(f"{file.name}*")]
    return "\n".join(rows)


def test_the_search_finds_what_it_looks_for() -> None:
    secret = SECRETS["RECALL_API_KEY"]
    header = base64.b64encode(f"user:{secret}@".encode()).decode()
    for text in (
        secret,
        quote(secret),
        quote_plus(secret),
        repr(secret),
        header,
        secret.encode().hex(),
    ):
        assert any(spelling in f"before {text} after" for spelling in spellings(secret))
