"""Simulated meetings that start and end continuously, some of them with faults."""

import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sandbox import events
from sandbox.events import Body, Stream
from sandbox.faults import Fault
from sandbox.recall import RecallSandbox
from sandbox.zoom import ZoomSandbox

EVERY_SECONDS = 4.0  # from one start to the next
SHORTEST, LONGEST = 12.0, 60.0  # seconds that a meeting lasts

# What happens to each meeting in turn. The list repeats.
STORIES = (
    "",
    "Zoom delivers it four times",
    "Recall answers 503 twice",
    "",
    "its signalling connection breaks",
    "a webinar",
    "",
    "its media server fails over",
    "Recall refuses it: no credit (402)",
    "",
    "a Video SDK session, which has other credentials",
    "the connection to Recall is reset after the work was done",
)

_FAULTS = {
    "503": Fault(kind="status", status=503, times=2, path="create"),
    "402": Fault(kind="status", status=402, path="create"),
    "reset": Fault(kind="reset_after", path="create"),
}


@dataclass(order=True)
class _Due:
    at: float
    number: int
    act: Callable[[], None] = field(compare=False)


class Traffic:
    """Delivers starts and stops when they are due.

    ``report`` is called with a line for each start.
    """

    def __init__(
        self, zoom: ZoomSandbox, recall: RecallSandbox, report: Callable[[str], None]
    ) -> None:
        """Begin with a start that is due at once."""
        self._zoom, self._recall, self._report = zoom, recall, report
        self._numbers = itertools.count()
        self._stories = itertools.cycle(STORIES)
        self._queue: list[_Due] = []
        self._later(0.0, self._start)

    def run_due(self) -> float:
        """Do what is due, and return the seconds until something else is."""
        while self._queue[0].at <= time.monotonic():
            heapq.heappop(self._queue).act()
        return max(self._queue[0].at - time.monotonic(), 0.0)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        due = _Due(time.monotonic() + seconds, next(self._numbers), act)
        heapq.heappush(self._queue, due)

    def _start(self) -> None:
        self._later(EVERY_SECONDS, self._start)
        story = next(self._stories)
        stream = Stream(product=_product(story))
        self._arm(story, stream)
        if stream.product == "meeting":
            self._send(events.meeting_started(stream))  # it has the topic
        start = _events_of(stream)[0](stream)
        copies = 4 if "four times" in story else 1
        answers = {delivery.status for delivery in self._zoom.deliver_at_once(start, copies)}
        said = ", ".join(str(status or "no answer") for status in answers)
        name = stream.product.capitalize()
        self._report(f"{name} {stream.meeting_id} starts{f': {story}' if story else ''}. {said}.")
        lasts = random.uniform(SHORTEST, LONGEST)
        if "breaks" in story:
            self._later(lasts / 2, lambda: self._send(events.interrupted(stream)))
        if "fails over" in story:
            self._later(lasts / 2, lambda: self._send(events.failover(stream)))
        self._later(lasts, lambda: self._stop(stream))

    def _stop(self, stream: Stream) -> None:
        self._recall.end_stream(stream.rtms_stream_id)
        self._send(_events_of(stream)[1](stream))

    def _send(self, body: Body) -> None:
        delivery = self._zoom.deliver(body)
        if not delivery.ok:
            self._report(f"{body['event']} was not accepted: {delivery.status or delivery.error}")

    def _arm(self, story: str, stream: Stream) -> None:
        for word, fault in _FAULTS.items():
            if word in story:
                self._recall.add_fault(replace(fault, stream=stream.rtms_stream_id))


def _product(story: str) -> events.Product:
    if "webinar" in story:
        return "webinar"
    return "session" if "session" in story else "meeting"


def _events_of(stream: Stream) -> tuple[Callable[[Stream], Body], Callable[[Stream], Body]]:
    return {
        "meeting": (events.started, events.stopped),
        "webinar": (events.webinar_started, events.webinar_stopped),
        "session": (events.session_started, events.session_stopped),
    }[stream.product]
