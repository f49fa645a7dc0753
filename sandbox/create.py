"""Answers creates: the key, faults, the rate limit, and the work."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import trouble
from sandbox.connections import Connection, Connections
from sandbox.faults import Fault, FaultBook
from sandbox.idempotency import Claim, Key, KeyBook, SlidingLimit
from sandbox.ledger import Entry, Ledger
from sandbox.validation import errors_in
from sandbox.wire import Answer, Request


@dataclass(frozen=True)
class Result:
    """A completed answer, as it is stored under its key."""

    answer: Answer
    outcome: str
    connection_id: str | None = None


@dataclass
class Creates:
    """Answers creates. ``pause`` sleeps, and raises OSError when the stand-in is stopped."""

    ledger: Ledger
    faults: FaultBook
    keys: KeyBook[Result]
    limit: SlidingLimit
    connections: Connections
    pause: Callable[[float], None]
    ended: Callable[[Connection], None]  # called with a connection that another one ended
    latency: float  # seconds that the work takes; refusals are immediate
    processing_seconds: float
    audio_shortcut: bool = True

    def answer(self, request: Request, entry: Entry, user: str) -> Result:
        """Answer one create, by Recall's rules or by a fault's."""
        body = _parsed(request.body)
        stream = _stream_in(body)
        text = request.headers.get("Idempotency-Key")
        key: Key | None = (user, request.path.rstrip("/"), text) if text else None
        metadata = body.get("metadata") if isinstance(body, dict) else None
        self.ledger.note(entry, stream_id=stream, idempotency_key=text, metadata=metadata)

        claim = self.keys.claim(key)
        fault = self.faults.take("POST", "create", stream, fresh=claim.fresh)
        if fault is None:
            return self._settle(claim, key, body, entry)
        self.ledger.note(entry, fault=fault.kind)
        return self._meet(fault, claim, key, body, entry)

    def _meet(
        self, fault: Fault, claim: Claim[Result], key: Key | None, body: object, entry: Entry
    ) -> Result:
        if fault.works == "before":
            self.pause(fault.delay + (fault.seconds or 0) * (fault.kind == "latency"))
            true = self._settle(claim, key, body, entry)
            seen = trouble.seen_through(fault, true.answer)
            changed = fault.kind not in ("latency", "headers")
            outcome = f"fault:{fault.kind}" if changed else true.outcome
            return Result(seen, outcome, true.connection_id)
        if claim.fresh and fault.works == "after":
            threading.Thread(
                target=self._settle_later,
                args=(fault.work_seconds, claim, key, body, entry),
                daemon=True,
            ).start()
        elif claim.fresh and not fault.is_stored:
            self.keys.release(key)  # it never reached Recall
        self.pause(fault.delay)
        empty = Answer.of_json(200, {})
        result = Result(trouble.seen_through(fault, empty), f"fault:{fault.kind}")
        if claim.fresh and fault.is_stored:
            self.keys.complete(key, result)
        return result

    def _settle_later(self, seconds: float, *args: Any) -> None:
        with contextlib.suppress(OSError):  # stopped meanwhile
            self.pause(seconds)
            self._settle(*args)

    def _settle(self, claim: Claim[Result], key: Key | None, body: object, entry: Entry) -> Result:
        """Do the work, or repeat its answer, or say that it is in progress (409)."""
        if claim.fresh:
            result = self._work(body, entry)
            self.keys.complete(key, result)
            return result
        if claim.answer is None:
            return Result(Answer.of_json(409, trouble.DETAILS[409]), "in_flight")
        kept = claim.answer
        self.ledger.note(entry, connection_id=kept.connection_id)
        return Result(kept.answer, "replayed", kept.connection_id)

    def _work(self, body: object, entry: Entry) -> Result:
        if errors := errors_in(body):
            return Result(Answer.of_json(400, errors), "invalid")
        assert isinstance(body, dict)
        if wait := self.limit.refuse():
            answer = Answer.of_json(
                429,
                {"detail": f"Request was throttled. Expected available in {wait} seconds."},
                Retry_After=str(wait),
            )
            return Result(answer, "rate_limited")
        self.pause(self.latency)
        connection, older = self.connections.make(
            body, self.processing_seconds, audio_shortcut=self.audio_shortcut
        )
        kicked_out = older.id if older and older.kicked_out else None
        self.ledger.note(
            entry, connection_id=connection.id, connected_at=time.time(), kicked_out=kicked_out
        )
        if older is not None:
            self.ended(older)
        return Result(Answer.of_json(201, connection.as_created()), "created", connection.id)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _stream_in(body: object) -> str | None:
    rtms = body.get("zoom_rtms") if isinstance(body, dict) else None
    stream = rtms.get("rtms_stream_id") if isinstance(rtms, dict) else None
    return stream if isinstance(stream, str) else None
