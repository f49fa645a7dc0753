"""Faults that the stand-ins for Recall and for Zoom's API inject on request.

A ``Fault`` says which requests it affects and how; a ``FaultBook`` has the faults that are armed.
Nothing here touches a socket: the stand-in reads the fault and acts on it.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Work = Literal["none", "before", "after"]
Where = Literal["create", "retrieve", "list", "audio", "media", "delete", "token", "stream"]

#: kind -> when Recall does the work of an affected create, unless the fault says otherwise: never
#: ("none"), "before" the answer is sent (and lost or damaged), or "after" it was sent.
KINDS: dict[str, Work] = {
    "status": "none",  # the status in `status`: any refusal of Recall's, or of a gateway's
    "firewall": "none",  # 403 with the HTML page "Request blocked"
    "latency": "before",  # the real answer, `seconds` later
    "reset_before": "none",  # connection reset, nothing done
    "reset_after": "before",  # connection reset after the work: the answer is lost
    "hang": "none",  # accepted and never answered, until the client leaves
    "truncated": "before",  # the real answer, truncated (to `cut` bytes, default half)
    "no_id": "before",  # the real answer without its `id`
    "not_json": "before",  # the real status with a body that is not JSON
    "drip": "before",  # the real answer, one byte every `seconds` (default 1)
    "redirect": "none",  # `status` (default 307) to `location`
    "headers": "before",  # the real answer, with `headers` replaced or added
}

#: Refusals by Recall itself, which it repeats for the same Idempotency-Key (Recall: idempotency).
#: 401 and 403 are decided before the key is read, 409 means that another request is in progress,
#: and 502, 503, 504 come from the gateway in front of Recall.
COMPLETED = frozenset({400, 402, 429, 500, 507})

_NUMBERS = (
    "times",
    "after",
    "until",
    "status",
    "seconds",
    "delay",
    "retry_after",
    "cut",
    "work_seconds",
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault, the requests that it affects, and for how long."""

    kind: str  # one of KINDS
    method: str | None = None  # "POST", "GET", "HEAD"; None: every method
    path: Where | None = None  # None: every path except the control routes
    stream: str | None = None  # only requests about this rtms_stream_id (Zoom: meeting number)
    times: int | None = 1  # how many requests it affects; None: until cleared
    after: int = 0  # how many matching requests pass first
    until: float | None = None  # seconds from arming until it ends
    status: int | None = None  # the answer's status, for kinds "status" and "redirect"
    body: str | None = None  # replaces the body of the kind
    headers: Mapping[str, str] = field(default_factory=dict)  # replace or add to the answer's
    seconds: float | None = None  # "latency": how long; "drip": per byte
    delay: float = 0.0  # seconds before other kinds take effect
    retry_after: float | None = None  # seconds, sent as Retry-After
    retry_after_date: bool = False  # as an HTTP date instead of a number
    location: str | None = None  # "redirect": the absolute or relative URL
    cut: int | None = None  # "truncated": bytes of the body that are sent
    honest: bool = False  # "truncated": Content-Length is the truncated length
    work: Work | None = None  # None: according to KINDS
    work_seconds: float = 0.5  # work "after": how long Recall takes, with the key in progress
    stored: bool | None = None  # whether the key keeps the answer; None: according to COMPLETED

    def __post_init__(self) -> None:
        """Validate the fault."""
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.path is not None and self.path not in get_args(Where):
            raise ValueError(f"path {self.path!r} is not one of {', '.join(get_args(Where))}")
        if self.work is not None and self.work not in get_args(Work):
            raise ValueError(f"work {self.work!r} is not one of {', '.join(get_args(Work))}")
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise ValueError(f"{name} {value!r} is not a number")
        if not all(isinstance(each, str) for each in self.headers.values()):
            raise ValueError("headers are strings")
        if self.kind == "status" and self.status is None:
            raise ValueError("a fault of kind status needs a status")
        if self.kind == "redirect" and not self.location:
            raise ValueError("a fault of kind redirect needs a location")
        if self.kind == "latency" and self.seconds is None:
            raise ValueError("a fault of kind latency needs seconds")

    @classmethod
    def from_json(cls, value: object) -> "Fault":
        """Read a fault from JSON, or raise an error that says what is invalid."""
        if not isinstance(value, dict):
            raise TypeError("a fault is a JSON object")
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise ValueError(f"a fault has no {', '.join(map(str, unknown))}")
        if "kind" not in value:
            raise ValueError("a fault needs a kind")
        return cls(**value)

    @property
    def works(self) -> Work:
        """When Recall does the work of a create that this fault affects."""
        return self.work or KINDS[self.kind]

    @property
    def is_stored(self) -> bool:
        """Whether Recall would repeat this answer for the same Idempotency-Key."""
        if self.stored is not None:
            return self.stored
        return self.kind == "status" and self.works == "none" and self.status in COMPLETED

    def meets(self, method: str, path: str, stream: str | None) -> bool:
        """Return whether this fault affects a request."""
        return (
            self.method in (None, method)
            and self.path in (None, path)
            and self.stream in (None, stream)
        )


@dataclass
class _Armed:
    """An armed fault, with the number of requests that matched and were affected."""

    fault: Fault
    since: float
    seen: int = 0
    used: int = 0

    def over(self, now: float) -> bool:
        fault = self.fault
        spent = fault.times is not None and self.used >= fault.times
        return spent or (fault.until is not None and now >= self.since + fault.until)


class FaultBook:
    """The armed faults. The first one that matches a request applies."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Arm a fault, after those that are armed already."""
        with self._lock:
            self._armed.append(_Armed(fault, time.monotonic()))

    def clear(self) -> None:
        """Disarm all of them."""
        with self._lock:
            self._armed.clear()

    def take(
        self, method: str, path: str, stream: str | None, *, fresh: bool = True
    ) -> Fault | None:
        """Return the fault that affects this request, and count it.

        ``fresh`` is false if the request's key has an answer already. Then faults that imitate an
        answer completed by Recall do not apply, because Recall would repeat the stored one.
        """
        now = time.monotonic()
        with self._lock:
            self._armed = [each for each in self._armed if not each.over(now)]
            for armed in self._armed:
                fault = armed.fault
                if not fault.meets(method, path, stream) or (fault.is_stored and not fresh):
                    continue
                armed.seen += 1
                if armed.seen > fault.after:
                    armed.used += 1
                    return fault
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """Return the armed faults, each with how many requests it has affected."""
        now = time.monotonic()
        with self._lock:
            live = [each for each in self._armed if not each.over(now)]
            return [asdict(each.fault) | {"met": each.used} for each in live]
