"""Loaded into the server through EXTENSIONS: while a file is there, nobody learns where Recall is,
as with a name server that does not answer. When ten threads wait for that, another host is looked
up, as for a new connection to the database; another file says that it was found."""

import _socket
import ctypes
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

_SLOW = Path(os.environ["SLOW_LOOKUPS"])
_look_up = _socket.getaddrinfo
_waiting: list[None] = []


def _slow(host: Any, *args: Any, **named: Any) -> Any:
    if host in ("recall.test", b"recall.test"):
        _waiting.append(None)
        while _SLOW.exists():
            ctypes.CDLL(None).usleep(10_000)  # in C, where nothing else of its thread can run
    return _look_up(host, *args, **named)


def _look_up_another() -> None:
    while len(_waiting) < 10 and _SLOW.exists():
        time.sleep(0.01)
    time.sleep(0.1)
    socket.getaddrinfo("localhost", 1)
    _SLOW.with_suffix(".found").touch()


_socket.getaddrinfo = _slow
threading.Thread(target=_look_up_another, daemon=True).start()
