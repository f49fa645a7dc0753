"""Recall's idempotency keys and its rate limit, each by a monotonic clock."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Clock = Callable[[], float]  # seconds
Key = tuple[str, str, str]  # user, path without a trailing slash, Idempotency-Key


@dataclass(frozen=True)
class Claim(Generic[T]):
    """The state of a key: new (fresh), in progress, or answered."""

    fresh: bool = False
    answer: T | None = None  # None and not fresh: the first request is still running


class KeyBook(Generic[T]):
    """The keys in use, and their answers (Recall: idempotency)."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        """Keep answers for this many seconds after they were completed."""
        self.seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Key, tuple[float, T] | None] = {}

    def claim(self, key: Key | None) -> Claim[T]:
        """Claim a key if it is not in use, or return its state. No key is always fresh."""
        if key is None:
            return Claim(fresh=True)
        now = self._clock()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = None
                return Claim(fresh=True)
            kept = self._kept[key]
            if kept is None:
                return Claim()
            if now - kept[0] >= self.seconds:
                self._kept[key] = None
                return Claim(fresh=True)
            return Claim(answer=kept[1])

    def complete(self, key: Key | None, answer: T) -> None:
        """Store the answer of a key."""
        if key is not None:
            with self._lock:
                self._kept[key] = (self._clock(), answer)

    def release(self, key: Key | None) -> None:
        """Forget a key whose request never reached Recall."""
        if key is not None:
            with self._lock:
                self._kept.pop(key, None)


class SlidingLimit:
    """At most ``count`` in any ``seconds``. Refused requests do not count (Recall: limits)."""

    def __init__(self, limit: tuple[int, float] | None, clock: Clock = time.monotonic) -> None:
        """Limit to (count, seconds), or not at all."""
        self._clock = clock
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque()
        self.limit = limit

    def refuse(self) -> int | None:
        """Admit and return None, or return the Retry-After: whole seconds, rounded up."""
        now = self._clock()
        with self._lock:
            limit = self.limit  # may be changed at any time
            if limit is None:
                return None
            count, seconds = limit
            while self._admitted and now - self._admitted[0] >= seconds:
                self._admitted.popleft()
            if len(self._admitted) < count:
                self._admitted.append(now)
                return None
            # When fewer than `count` are left, even if the limit was lowered.
            since = self._admitted[-count] if count else now
            return max(1, math.ceil(since + seconds - now))
