"""What can go wrong on the way to Recall and back, on request.

A ``Fault`` says which requests it meets and what becomes of them; a ``FaultBook`` holds the ones
that are armed. Nothing here touches a socket: the stand-in reads the fault and acts on it.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Work = Literal["none", "before", "after"]
Where = Literal["create", "retrieve", "list", "audio", "media"]

#: kind -> when Recall does the work of a create that meets it, unless the fault says otherwise:
#: "none" never, "before" the answer is sent (and so lost or spoiled), "after" it was sent.
KINDS: dict[str, Work] = {
    "status": "none",  # the status in `status`: any refusal of Recall's, or of a gateway's
    "firewall": "none",  # 403 with the HTML page "Request blocked"
    "latency": "before",  # the true answer, `seconds` later
    "reset_before": "none",  # connection reset, nothing done
    "reset_after": "before",  # connection reset after the work: the answer is lost
    "hang": "none",  # accepted and never answered, until the client leaves
    "truncated": "before",  # the true answer, cut off (`cut` bytes, default half)
    "no_id": "before",  # the true answer without its `id`
    "not_json": "before",  # the true status with a body that is not JSON
    "drip": "before",  # the true answer, one byte every `seconds` (default 1)
    "redirect": "none",  # `status` (default 307) to `location`
    "headers": "before",  # the true answer with `headers` laid over it
}

#: Refusals that Recall itself completes, and therefore repeats for the same Idempotency-Key
#: (Recall: idempotency). 401 and 403 come from the door, 409 means another request is at work,
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
    """One kind of trouble, the requests it meets, and for how long."""

    kind: str  # one of KINDS
    method: str | None = None  # "POST", "GET", "HEAD"; None meets every method
    path: Where | None = None  # None meets every path but the control's
    stream: str | None = None  # only requests about this rtms_stream_id
    times: int | None = 1  # how many requests it meets; None: until cleared
    after: int = 0  # lets the first so many matching requests pass
    until: float | None = None  # seconds from arming after which it is over
    status: int | None = None  # the answer's status, for kinds "status" and "redirect"
    body: str | None = None  # instead of the body that the kind would send
    headers: Mapping[str, str] = field(default_factory=dict)  # laid over the answer's
    seconds: float | None = None  # "latency": how long; "drip": per byte
    delay: float = 0.0  # seconds before any other kind shows its effect
    retry_after: float | None = None  # seconds, sent as Retry-After
    retry_after_date: bool = False  # as an HTTP date instead of a number
    location: str | None = None  # "redirect": the absolute or relative URL
    cut: int | None = None  # "truncated": bytes of the body that are sent
    honest: bool = False  # "truncated": Content-Length tells the cut length
    work: Work | None = None  # None: as KINDS says
    work_seconds: float = 0.5  # work "after": how long Recall takes, with the key in flight
    stored: bool | None = None  # answer kept under the key; None: as COMPLETED says

    def __post_init__(self) -> None:
        """Refuse a fault that could never do what it says."""
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.path is not None and self.path not in get_args(Where):
            raise ValueError(f"path {self.path!r} is none of {', '.join(get_args(Where))}")
        if self.work is not None and self.work not in get_args(Work):
            raise ValueError(f"work {self.work!r} is none of {', '.join(get_args(Work))}")
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
        """Read a fault from JSON, or raise an error that says what is wrong with it."""
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
        """When the work of a create that meets this fault is done."""
        return self.work or KINDS[self.kind]

    @property
    def is_stored(self) -> bool:
        """Whether Recall would repeat this answer for the same Idempotency-Key."""
        if self.stored is not None:
            return self.stored
        return self.kind == "status" and self.works == "none" and self.status in COMPLETED

    def meets(self, method: str, path: str, stream: str | None) -> bool:
        """Whether a request is one of those this fault is about."""
        return (
            self.method in (None, method)
            and self.path in (None, path)
            and self.stream in (None, stream)
        )


@dataclass
class _Armed:
    """A fault in the book, with what it has seen so far."""

    fault: Fault
    since: float
    seen: int = 0
    used: int = 0

    def over(self, now: float) -> bool:
        fault = self.fault
        spent = fault.times is not None and self.used >= fault.times
        return spent or (fault.until is not None and now >= self.since + fault.until)


class FaultBook:
    """The faults that are armed. The first that meets a request wins."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Arm a fault behind the ones that are armed already."""
        with self._lock:
            self._armed.append(_Armed(fault, time.monotonic()))

    def clear(self) -> None:
        """Disarm all of them."""
        with self._lock:
            self._armed.clear()

    def take(
        self, method: str, path: str, stream: str | None, *, fresh: bool = True
    ) -> Fault | None:
        """Return the fault that this request meets, and count it.

        ``fresh`` is false when the request's key has an answer already: then a fault that stands
        for Recall's own completed answer is passed over, for Recall would not get that far.
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
        """Return the armed faults, each with how many requests it has met."""
        now = time.monotonic()
        with self._lock:
            live = [each for each in self._armed if not each.over(now)]
            return [asdict(each.fault) | {"met": each.used} for each in live]
