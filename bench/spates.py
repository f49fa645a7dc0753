"""Bursts of starts, spread evenly over some seconds, and their answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import deliveries
from bench.ledger import Recall
from bench.load import Sample, offer
from bench.servers import Address

_LEAD = 0.3  # seconds to create and sign the starts before the first is due
_LEAD_EACH = 0.0002  # seconds more for each


@dataclass(frozen=True)
class Spate:
    """The streams of a burst and their answers, in the same order."""

    stream_ids: list[str]
    samples: list[Sample]

    @property
    def due_at(self) -> dict[str, float]:
        """When each stream's start was due, in seconds since the epoch."""
        pairs = zip(self.stream_ids, self.samples, strict=True)
        return {stream: sample.due_at for stream, sample in pairs}

    @property
    def accepted(self) -> list[str]:
        """The streams whose delivery was answered 200 or 204, however long that took."""
        pairs = zip(self.stream_ids, self.samples, strict=True)
        return [stream for stream, sample in pairs if sample.status in (200, 204)]

    @property
    def answer_seconds(self) -> list[float]:
        """How long each answer took."""
        return [each.seconds for each in self.samples if each.status is not None]


def spate(
    addresses: Sequence[Address],
    count: int,
    seconds: float,
    *,
    connections: int = 256,
    patience: float = 30.0,
) -> Spate:
    """Send this many different starts in this many seconds. With several addresses, each start is
    delivered to two of them at once, as from two subscriptions, and sampled once."""
    copies = min(2, len(addresses))
    begin = time.time() + _LEAD + count * _LEAD_EACH
    moments = [begin + seconds * number / count for number in range(count)]
    signed = [deliveries.started(at) for at in moments]
    timetable = [
        (at, each.raw) for at, each in zip(moments, signed, strict=True) for _ in range(copies)
    ]
    samples = offer(addresses, timetable, connections=connections, patience=patience)
    return Spate([each.stream_id for each in signed], samples[::copies])


def wait_for_connections(recall: Recall, count: int, seconds: float) -> float:
    """Wait until Recall has made this many, or for this many seconds; return the time it took."""
    began = time.monotonic()
    while recall.connections() < count and time.monotonic() - began < seconds:
        time.sleep(0.1)
    return time.monotonic() - began
