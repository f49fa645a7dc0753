"""The control routes of the stand-in for Recall, under ``/_sandbox``.

They need no key, because they are served only on loopback.

    GET     ledger, connections, summary, faults, notices
    POST    faults                  one Fault as JSON, or a list of them
            settings                latency, limit, retrieve_limit, processing_seconds,
                                    link_seconds, audio_shortcut, audio_a_page
            streams/<id>/end        optionally {"ending": "failed", "sub_code": "..."}
            streams/<id>/media/<kind>  {"status": "done"}, or null: there is no such medium
            links/expire            expires every link made so far
    DELETE  faults, ledger

A stream's id is percent-encoded in the path.
"""

import json
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import unquote

from sandbox.connections import MEDIA, Connections, Ending
from sandbox.faults import Fault, FaultBook
from sandbox.ledger import Ledger
from sandbox.notices import Notifier
from sandbox.wire import Answer, Request

ENDINGS = ("done", "failed", "deleted")
CODES = ("processing", "done", "failed", "deleted", None)


class Controlled(Protocol):
    """What the routes control of the stand-in. The methods are those of ``sandbox.recall``."""

    notifier: Notifier

    def summary(self) -> dict[str, dict[str, Any]]: ...
    def set(self, **settings: Any) -> None: ...
    def expire_links(self) -> None: ...
    def end_stream(self, stream_id: str, ending: Ending, sub_code: str | None) -> bool: ...
    def change_medium(self, stream_id: str, kind: str, status: str | None) -> bool: ...


class Control:
    """Answers control requests. An invalid request gets a 400 that says why."""

    def __init__(
        self, recall: Controlled, ledger: Ledger, faults: FaultBook, made: Connections
    ) -> None:
        """Control this stand-in."""
        self._recall, self._ledger, self._faults, self._made = recall, ledger, faults, made

    def answer(self, request: Request) -> Answer:
        """Answer one control request."""
        what = request.path.removeprefix("/_sandbox/").rstrip("/")
        try:
            if request.method == "GET":
                return self._show(what)
            if request.method == "DELETE":
                return self._forget(what)
            value = json.loads(request.body) if request.body else {}
            return self._change(what, value)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            return Answer.of_json(400, {"error": str(error)})

    def _show(self, what: str) -> Answer:
        if what == "ledger":
            return Answer.of_json(200, self._ledger.as_json())
        if what == "connections":
            return Answer.of_json(200, self._made.as_json())
        if what == "summary":
            return Answer.of_json(200, self._recall.summary())
        if what == "faults":
            return Answer.of_json(200, self._faults.as_json())
        if what == "notices":
            sent = [asdict(each) for each in self._recall.notifier.notices]
            return Answer.of_json(200, [each | {"body": each["body"].decode()} for each in sent])
        return _unknown(what)

    def _forget(self, what: str) -> Answer:
        if what == "faults":
            self._faults.clear()
        elif what == "ledger":
            self._ledger.clear()
        else:
            return _unknown(what)
        return Answer(204)

    def _change(self, what: str, value: Any) -> Answer:
        if what == "faults":
            for fault in [Fault.from_json(each) for each in _listed(value)]:
                self._faults.add(fault)
            return Answer.of_json(201, self._faults.as_json())
        if what == "settings":
            self._recall.set(**value)
            return Answer(204)
        if what == "links/expire":
            self._recall.expire_links()
            return Answer(204)
        parts = what.split("/")
        if len(parts) == 3 and parts[0] == "streams" and parts[2] == "end":
            return self._end(unquote(parts[1]), value)
        if len(parts) == 4 and parts[0] == "streams" and parts[2] == "media":
            return self._medium(unquote(parts[1]), unquote(parts[3]), value)
        return _unknown(what)

    def _end(self, stream_id: str, value: Any) -> Answer:
        ending = value.get("ending", "done")
        if ending not in ENDINGS:
            raise ValueError(f"ending {ending!r} is not one of {', '.join(ENDINGS)}")
        if self._recall.end_stream(stream_id, ending, value.get("sub_code")):
            return Answer(204)
        return _never_connected(stream_id)

    def _medium(self, stream_id: str, kind: str, value: Any) -> Answer:
        code = value["status"]
        if code not in CODES:
            raise ValueError(f"status {code!r} is not one of {', '.join(map(str, CODES))}")
        if kind not in MEDIA:
            raise ValueError(f"kind {kind!r} is not one of {', '.join(MEDIA)}")
        if self._recall.change_medium(stream_id, kind, code):
            return Answer(204)
        return _never_connected(stream_id)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _never_connected(stream_id: str) -> Answer:
    return Answer.of_json(404, {"error": f"stream {stream_id} was never connected"})


def _unknown(what: str) -> Answer:
    return Answer.of_json(404, {"error": f"there is no /_sandbox/{what} for this method"})
