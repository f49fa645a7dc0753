"""How much of a request is here, told without reading any of it."""

from __future__ import annotations

import re
import socket
from typing import Any

_DELIVERY = re.compile(rb"POST (/[!-~]+)?/zoom-webhook ")  # also below the path of PUBLIC_URL
_PEEK = 16_384  # bytes; what is longer goes its own way
_REQUEST_LINE = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_OWN_WAY = re.compile(rb"\r\n(transfer-encoding|expect|upgrade):", re.IGNORECASE)


def is_read_ahead(conn: Any) -> bool:
    """Whether a part of the next request was read along with the one before."""
    return bool(conn.is_http2 or (conn.parser and conn.parser.unreader.buf.getvalue()))


def peek(conn: Any) -> bytes:
    """What has come and nobody has read; empty where the client has ended it.

    Raises:
        BlockingIOError: nothing has come.
        OSError: the connection is gone.
    """
    seen: bytes = conn.sock.recv(_PEEK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    return seen


def size_of(seen: bytes) -> int | None:
    """How many bytes a request has, told by its beginning: while its header is not whole, one more
    than are here. None: it cannot be told, or is more than is looked at."""
    if b"\r\n" in seen and not _REQUEST_LINE.match(seen):
        return None
    head, end, _ = seen.partition(b"\r\n\r\n")
    if not end:
        return len(seen) + 1 if len(seen) < _PEEK else None
    if _OWN_WAY.search(head):
        return None
    lengths = _LENGTH.findall(head + b"\r\n")
    if len(lengths) > 1:
        return None
    size = len(head) + len(end) + sum(map(int, lengths))
    return size if size <= _PEEK else None


def is_delivery(seen: bytes) -> bool:
    """Whether a request that is here to its last byte is one of Zoom's deliveries."""
    if not _DELIVERY.match(seen):
        return False
    return _LENGTH.search(seen.partition(b"\r\n\r\n")[0] + b"\r\n") is not None


def is_whole_delivery(conn: Any) -> bool:
    """Whether one of Zoom's deliveries is here to its last byte, and nothing before it."""
    if is_read_ahead(conn):
        return False
    try:
        seen = peek(conn)
    except OSError:  # nothing is here yet, or nobody any more
        return False
    size = size_of(seen)
    return size is not None and len(seen) >= size and is_delivery(seen)
