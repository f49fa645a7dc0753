"""Checks are run one after another, each within its time, whatever becomes of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rtms.doctor.finding import Finding, Grade, failure, ok, without_secrets
from rtms.doctor.runner import Check, run


def fine() -> Iterator[Finding]:
    yield ok("b", "fine")


def test_a_broken_check_is_a_finding_and_stops_no_other() -> None:
    def broken() -> Iterator[Finding]:
        yield ok("a", "so far")
        raise ValueError("a secret")

    found = list(run([Check("a", 5, broken), Check("b", 5, fine)], report=pytest.fail))
    assert [(each.about, each.grade) for each in found] == [
        ("a", Grade.OK),
        ("a", Grade.FAILURE),
        ("b", Grade.OK),
    ]
    assert "ValueError" in found[1].found
    assert "a secret" not in str(found)


@pytest.mark.slow
def test_a_check_that_hangs_is_left_behind_with_what_it_had_found() -> None:
    released = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("a", "so far")
        released.wait(30)

    told: list[str] = []
    began = time.monotonic()
    found = list(run([Check("a", 2.0, hangs), Check("b", 5, fine)], report=told.append))
    released.set()
    assert time.monotonic() - began < 10
    assert [each.grade for each in found] == [Grade.OK, Grade.FAILURE, Grade.OK]
    assert "2 seconds" in found[1].found
    assert told == ["Still checking: a (at most 2 seconds)"]


def test_what_is_quoted_holds_no_secret() -> None:
    said = failure("a", "it said: key-of-ours!", "ask for key-of-ours")
    assert without_secrets(said, ["key-of-ours"]) == failure(
        "a", "it said: [hidden]!", "ask for [hidden]"
    )
