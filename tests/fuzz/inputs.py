"""Inputs for the routes: fixtures, mutated by their structure, then by their bytes.

Input number n of a seed is always the same, so one that fails can be made again alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

from sandbox.zoom import sign
from tests.conftest import ENVIRON, FIXTURES

RECALL_KEY = base64.b64encode(b"recall-webhook-secret-of-the-tests").decode()
CHALLENGE = "endpoint.url_validation"

_ZOOM_BODIES = [json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))]
_RECALL_BODIES: list[Any] = [
    {
        "event": f"{kind}.{code}",
        "data": {
            "data": {"code": code, "sub_code": None, "updated_at": "2026-11-22T10:00:00Z"},
            "recording": {
                "id": "recording-1",
                "metadata": {"rtms_stream_id": "stream-1", "meeting_direct_connect_id": "1"},
            },
            "meeting_direct_connect": {"id": "recall-1", "metadata": {}},
        },
    }
    for kind in ("recording", "video_mixed", "transcript")
    for code in ("processing", "done", "failed", "deleted")
]
_ODD_TEXT = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "a\r\nb",
    "\u202egnp.exe",
    "\x1b[31mred",
    "\u2028",
    "é" * 300,
    "🎉",
    "a" * 255,
    "a" * 256,
    "a" * 5000,
    "'; DROP TABLE webhook_events; --",
    "%s%n%(x)s{0}{x}",
    "../../etc/passwd",
    "v0:1:{}",
    "9" * 400,
    "NaN",
    "null",
    "$(id)",
    "<script>",
    "\\u0000",
]
_ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**31 - 1,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**300,
    253_402_300_799_999,
    253_402_300_800_000,
    0.5,
    -0.0,
    1e308,
    5e-324,
    [],
    {},
    [[]],
    {"": ""},
    {"event": CHALLENGE},
    [None] * 50,
]
_STREAMS = ["stream-1", "stream-2", "stream:3:7", "s" * 255]
_SERVERS = ["wss://a.example:443", "wss://b.example:443", "wss://a.example:443,wss://c.example"]
_NAMES = ["event", "event_ts", "payload", "object", "rtms_stream_id", "plainToken", "data", "x"]
_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "X"]
_PATHS = [b"/", b"/healthz", b"/readyz", b"/zoom-webhook", b"/recall-webhook", b"/static/x", b"*"]
_IDS = [
    "1",
    "2",
    "3",
    "50",
    "0",
    "-1",
    str(2**63 - 1),
    str(2**63),
    "9" * 400,
    "1.5",
    "x",
    "²",
    "",
    "%",
]
_PAGES = [
    "/",
    "/login",
    "/metrics",
    "/assets/style.css",
    "/assets/{}",
    "/meetings",
    "/meetings/{}",
    "/meetings/{}/transcript",
    "/meetings/{}/retry",
    "/meetings/{}/refresh",
    "/events",
    "/events/{}",
    "/events/{}/replay",
    "/recordings/{}/video_mixed",
    "/recordings/{}/video_mixed/why",
    "/recordings/{}/transcript.vtt",
]
_FIELDS = [
    "q",
    "state",
    "day",
    "event",
    "stream",
    "outcome",
    "before",
    "after",
    "recording",
    "next",
]
_ASKED = ["failed", "pending", "done", "failed:refused", "started", "2026-11-22", "2026-02-30", "1"]
CSRF_TOKEN = "the token of the session"
_QUERIES = ["", "a=b", "=", "&&&", "%", "%00", "%ff%fe", "a[]=1&a[]=2", "x" * 4000, "?", "é"]
_TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain; charset=\xff",
    ";;;",
    "",
]
_HEADER_NAMES = [
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Cookie",
    "Expect",
    "Forwarded",
    "Host",
    "If-None-Match",
    "Origin",
    "Range",
    "Referer",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-HTTP-Method-Override",
    "X-Original-URL",
    "x-zm-trackingid",
]


@dataclass(frozen=True, kw_only=True)
class Input:
    """One request, as it goes over the wire."""

    number: int
    method: str
    path: bytes  # not quoted
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    signed: bool = False  # False: by nobody, or by somebody else
    logged_in: bool = False  # whoever asks adds the cookie, and the token in the place of its name

    @property
    def is_challenge(self) -> bool:
        return CHALLENGE.encode() in self.body.replace(b"\x00", b"")

    def wire(self) -> bytes:
        """The request's bytes."""
        target = quote_from_bytes(self.path, safe=b"/*") + (f"?{self.query}" if self.query else "")
        headers = [("Host", "localhost"), *self.headers, ("Content-Length", str(len(self.body)))]
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class Inputs:
    """All inputs of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def make(self, number: int) -> Input:
        """Make one input."""
        return _Maker(Random(f"{self.seed}:{number}"), number).make()

    def make_wire(self, number: int) -> bytes:
        """Make one input's bytes, more often than not with something wrong in the bytes too."""
        random = Random(f"{self.seed}:wire:{number}")
        wire = _Maker(random, number).make().wire()
        head, gap, body = wire.partition(b"\r\n\r\n")
        for _ in range(random.choice((0, 1, 1, 2))):
            head = random.choice(_BREAK_HEAD)(random, head)
        return head + gap + body


class _Maker:
    def __init__(self, random: Random, number: int) -> None:
        self._random = random
        self._number = number

    def make(self) -> Input:
        kinds: list[Callable[[], Input]] = [
            self._zoom,
            self._zoom_unsigned,
            self._recall,
            self._other,
            self._page,
        ]
        return self._random.choices(kinds, (10, 4, 4, 3, 4))[0]()

    def _zoom(self) -> Input:
        random, body = self._random, self._bytes(_ZOOM_BODIES)
        stamp = str(int(time.time()))
        true = [stamp, sign(ENVIRON["ZOOM_SECRET_TOKEN"], stamp, body)]
        values = list(true)
        if random.random() < 0.15:
            values = [self._spoil(value) for value in values]
        headers = list(zip(("x-zm-request-timestamp", "x-zm-signature"), values, strict=True))
        return self._input(b"/zoom-webhook", body, headers, signed=values == true)

    def _zoom_unsigned(self) -> Input:
        random, body = self._random, self._bytes(_ZOOM_BODIES)
        if random.random() < 0.5:
            plain = random.choice([self._odd_value(), "abc", "v0:1700000000:{}"])
            tree: Any = {"event": CHALLENGE, "payload": {"plainToken": plain}}
            body = self._encode(self._mutated(tree) if random.random() < 0.3 else tree)
        return self._input(b"/zoom-webhook", body, [])

    def _recall(self) -> Input:
        random, body = self._random, self._bytes(_RECALL_BODIES)
        name = random.choice(("webhook", "webhook", "svix"))
        id = random.choice(("msg_1", f"msg_{self._number}", "x" * 300, "a.b", "é"))
        stamp = str(int(time.time()))
        message = f"{id}.{stamp}.".encode() + body
        digest = hmac.new(base64.b64decode(RECALL_KEY), message, hashlib.sha256).digest()
        values = [id, stamp, f"v1,{base64.b64encode(digest).decode()}"]
        if random.random() < 0.3:
            which = random.randrange(3)
            values[which] = self._spoil(values[which])
        names = [f"{name}-{part}" for part in ("id", "timestamp", "signature")]
        headers = list(zip(names, values, strict=True))
        # Of a spoiled signature a part may be the true one: the header may hold several.
        signed = (values[0], values[1].strip()) == (id, stamp)
        return self._input(b"/recall-webhook", body, headers, signed=signed)

    def _other(self) -> Input:
        random = self._random
        path = random.choice(_PATHS)
        if random.random() < 0.5:
            path = _mutated_bytes(random, path)
        body = b"" if random.random() < 0.5 else self._bytes(_ZOOM_BODIES)
        made = self._input(path, body, [])
        method = random.choice([*_METHODS, "POST"])
        return replace(made, method=method)

    def _page(self) -> Input:
        """What a browser asks for, whose user or whose page has something odd in mind."""
        random = self._random
        path = random.choice(_PAGES).format(random.choice(_IDS)).encode()
        method = random.choice(("GET", "GET", "GET", "HEAD", "POST", "POST"))
        fields = [
            (random.choice(_FIELDS), random.choice((*_ASKED, *_IDS, *_ODD_TEXT)))
            for _ in range(random.choice((0, 1, 1, 2, 5)))
        ]
        form = [("csrf_token", random.choice((CSRF_TOKEN, CSRF_TOKEN, "", "é"))), *fields]
        if random.random() < 0.3:
            form.append(("password", random.choice(_ODD_TEXT)))
        made = self._input(path, self._form(form) if method == "POST" else b"", [])
        headers = made.headers
        if method == "POST" and random.random() < 0.8:
            headers = (("Content-Type", "application/x-www-form-urlencoded"),)
        return replace(
            made,
            method=method,
            query=self._form(fields).decode("latin-1"),
            headers=headers,
            logged_in=random.random() < 0.8,
        )

    def _form(self, fields: list[tuple[str, str]]) -> bytes:
        form = urlencode(fields, errors="surrogatepass").encode()
        return _mutated_bytes(self._random, form) if self._random.random() < 0.1 else form

    def _input(
        self,
        path: bytes,
        body: bytes,
        headers: list[tuple[str, str]],
        *,
        signed: bool = False,
    ) -> Input:
        random = self._random
        if random.random() < 0.7:
            headers = [("Content-Type", random.choice(_TYPES)), *headers]
        for _ in range(random.choice((0, 0, 0, 1, 3))):
            headers.append((random.choice(_HEADER_NAMES), self._header_text()))
        if random.random() < 0.05:
            random.shuffle(headers)
            headers = headers[:-1]
        return Input(
            number=self._number,
            method="POST",
            path=path,
            query=random.choice(_QUERIES) if random.random() < 0.1 else "",
            headers=tuple(headers),
            body=body,
            signed=signed,
        )

    def _header_text(self) -> str:
        """What a header can carry through a web server: Latin-1 without NUL and line breaks."""
        random = self._random
        if random.random() < 0.3:
            return random.choice(("localhost", "a" * 3000, "[::1]:x", "evil.example:99999999", "é"))
        size = random.choice((0, 1, 10, 300))
        text = "".join(chr(random.randrange(1, 256)) for _ in range(size))
        return text.replace("\r", "").replace("\n", "").strip()

    def _spoil(self, text: str) -> str:
        random = self._random
        return random.choice(
            (
                text,
                "",
                " ",
                text.upper(),
                text + " ",
                text[:-1],
                text[3:],
                f"{text},{text}",
                text.replace("1", "²"),
                text.replace("0", "٠").encode().decode("latin-1").replace("\n", ""),
                "inf",
                "nan",
                "-1",
                "1e9",
                "9" * 400,
                "v1,",
                "v1,=,v1",
                "é",
                self._header_text(),
            )
        )

    def _bytes(self, bodies: list[Any]) -> bytes:
        random = self._random
        tree = deepcopy(random.choice(bodies))
        if random.random() < 0.6:
            tree = self._familiar(tree)
        for _ in range(random.choice((0, 0, 1, 1, 2, 5))):
            tree = self._mutated(tree)
        raw = self._encode(tree)
        if random.random() < 0.15:
            for _ in range(random.choice((1, 1, 4))):
                raw = _mutated_bytes(random, raw)
        return raw

    def _familiar(self, tree: Any) -> Any:
        """Let it be about one of a few streams at one of a few moments, so that they meet."""
        random = self._random
        if not isinstance(tree, dict) or not isinstance(tree.get("payload"), dict):
            return tree
        fields = tree["payload"].get("object")
        fields = fields if isinstance(fields, dict) else tree["payload"]
        if "rtms_stream_id" in fields:
            fields["rtms_stream_id"] = random.choice((*_STREAMS, f"stream-{self._number}"))
        if "server_urls" in fields:
            fields["server_urls"] = random.choice(_SERVERS)
        if "event_ts" in tree:
            tree["event_ts"] = random.randrange(1_700_000_000_000, 1_700_000_000_400)
        return tree

    def _mutated(self, tree: Any) -> Any:
        """Change one place of a JSON value."""
        random = self._random
        places = list(_places(tree))
        if not places or random.random() < 0.03:
            return self._odd_value()
        parent, key = random.choice(places)
        how = random.randrange(8)
        if how == 0:
            del parent[key]
        elif how == 1:
            parent[key] = random.choice(_ODD_TEXT)
        elif how == 2:
            parent[key] = self._odd_value()
        elif how == 3:
            for _ in range(random.choice((1, 3, 31, 40))):
                parent[key] = random.choice(([parent[key]], {"object": parent[key]}))
        elif how == 4 and isinstance(parent, dict):
            parent[random.choice([*_NAMES, *_ODD_TEXT])] = parent.pop(key)
        elif how == 5 and isinstance(parent, dict):
            parent[random.choice(_NAMES)] = self._odd_value()
        elif how == 6:
            other, other_key = random.choice(places)
            if not isinstance(other[other_key], dict | list):
                parent[key] = other[other_key]
        elif isinstance(parent[key], str):
            parent[key] += random.choice(_ODD_TEXT)
        return tree

    def _odd_value(self) -> Any:
        return deepcopy(self._random.choice((*_ODD_TEXT, *_ODD_VALUES)))

    def _encode(self, tree: Any) -> bytes:
        random = self._random
        text = json.dumps(
            tree,
            ensure_ascii=random.random() < 0.5,
            separators=random.choice(((",", ":"), (", ", ": "))),
        )
        how = random.randrange(30)
        if how == 0:
            return text.encode("utf-16", "surrogatepass")
        if how == 1:
            return text.encode("utf-32", "surrogatepass")
        if how == 2:
            return text.encode("utf-8-sig", "surrogatepass")
        if how == 3 and text.startswith("{") and len(text) > 2:  # a key twice
            return ('{"event": "meeting.rtms_stopped", ' + text[1:]).encode("utf-8", "replace")
        return text.encode("utf-8", "surrogatepass" if how == 4 else "replace")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and under which key."""
    keys: Any = ()
    if isinstance(tree, dict):
        keys = tree.keys()
    elif isinstance(tree, list):
        keys = range(len(tree))
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def _mutated_bytes(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    stop = min(len(raw), at + random.choice((1, 2, 8, 64)))
    how = random.randrange(6)
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw[:at] + random.randbytes(random.choice((1, 4))) + raw[at:]
    if how == 2:
        return raw[:at] + raw[stop:]
    if how == 3:
        return raw[:stop] + raw[at:stop] * random.choice((1, 3, 50)) + raw[stop:]
    if how == 4:
        return raw[:at] + random.choice((b"\x00", b"\xff", b'"', b"{", b"[" * 500)) + raw[at:]
    return raw[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in raw[at:stop]) + raw[stop:]


def _add_line(random: Random, head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    line = random.choice(
        (
            b"Content-Length: 5",
            b"Content-Length: -1",
            b"Content-Length: 1_0",
            b"Content-Length: 99999999999999999999",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: gzip, chunked",
            b" folded: line",
            b"no colon",
            b": no name",
            b"X-Long: " + b"a" * 9000,
            b"X-Nul: a\x00b",
            b"X-Bare: a\nInjected: 1",
            b"X-Bare: a\rInjected: 1",
            b"Bad Name: 1",
            b"Host: other",
            b"Expect: 100-continue",
            b"Connection: close",
            b"Upgrade: h2c",
            b"x-zm-signature: v0=0",
        )
    )
    lines.insert(random.randrange(1, len(lines) + 1), line)
    return b"\r\n".join(lines)


def _break_request_line(random: Random, head: bytes) -> bytes:
    line, gap, rest = head.partition(b"\r\n")
    line = random.choice(
        (
            line.replace(b"HTTP/1.1", b"HTTP/1.0"),
            line.replace(b"HTTP/1.1", b""),
            line.replace(b" ", b"\t"),
            line.replace(b" /", b" http://evil.example/"),
            line.replace(b" /", b" //"),
            b"\r\n" + line,
            line + b" x",
            _mutated_bytes(random, line),
        )
    )
    return line + gap + rest


def _break_anything(random: Random, head: bytes) -> bytes:
    return _mutated_bytes(random, head)


_BREAK_HEAD = (_add_line, _break_request_line, _break_anything)
