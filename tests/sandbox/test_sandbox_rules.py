"""The stand-in Recall's rules about time, on a clock of the test's own."""

import pytest

from sandbox import Fault
from sandbox.idempotency import KeyBook, SlidingLimit


def test_a_key_is_forgotten_after_the_hour() -> None:
    now = [0.0]
    keys = KeyBook[str](3600.0, clock=lambda: now[0])
    key = ("user", "/path", "key")
    assert keys.claim(key).fresh
    now[0] = 5000.0  # the hour begins when the first request completes
    assert not keys.claim(key).fresh
    keys.complete(key, "answer")
    now[0] += 3599.9
    assert keys.claim(key).answer == "answer"
    now[0] += 0.1
    assert keys.claim(key).fresh


def test_the_limit_slides_and_counts_only_what_it_admits() -> None:
    now = [0.0]
    limit = SlidingLimit((2, 60.0), clock=lambda: now[0])
    assert limit.refuse() is None
    now[0] = 10.0
    assert limit.refuse() is None
    now[0] = 20.5
    assert [limit.refuse() for _ in range(50)] == [40] * 50
    now[0] = 60.0
    assert limit.refuse() is None
    assert limit.refuse() == 10


def test_a_fault_that_makes_no_sense_is_refused() -> None:
    for wrong in (
        {"kind": "no such"},
        {"kind": "status"},
        {"kind": "hang", "times": "2"},
        {"kind": "hang", "often": 1},
    ):
        with pytest.raises(ValueError):
            Fault.from_json(wrong)
