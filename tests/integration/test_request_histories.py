"""Random histories of a meeting: Zoom is asked where the rules say so, and nowhere else.

REQUEST_HISTORIES: how many histories there are, on each engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtms.jobs.restart.job import RestartJob
from rtms.services import Services
from rtms.zoom.stream_outcomes import Accepted, TryLater
from sandbox import Stream, events
from tests.integration.test_intake import take
from tests.integration.test_stream_requests import S2S, ScriptedZoom, send_due

HISTORIES = int(os.environ.get("REQUEST_HISTORIES") or 100)
FAULTS = (10, 11, 12, 13, 14, 15, 16, 19, 24)
DECISIONS = (*range(1, 10), 17, 18, 20, 21, 22, 23, 25, 26)
WHOLE_DAY = 86_400.0

MOVES = st.one_of(
    st.just(("start", 0)),
    st.tuples(st.just("stop"), st.sampled_from(FAULTS)),
    st.tuples(st.just("stop"), st.sampled_from(DECISIONS)),
    st.just(("another user's start", 0)),
    st.just(("send", 0)),
    st.just(("send", 1)),  # and Zoom does not accept it
    st.just(("end", 0)),
)


class Meeting:
    """What the rules should do with a meeting, as the issue's table says it."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.is_live = self.is_wanted = self.has_ended = False

    def start(self) -> dict[str, Any]:
        """The user's stream starts: with another id, unless it is the first."""
        self.stream = self.stream.beside(operator_id=self.stream.operator_id)
        self.is_live, self.is_wanted = True, False
        return events.started(self.stream)

    def stop(self, reason: int) -> dict[str, Any]:
        """The user's stream stops."""
        if self.is_live:
            self.is_live, self.is_wanted = False, reason in FAULTS
        if reason == 6:
            self.is_wanted = False
        return events.stopped(self.stream, reason)

    def end(self) -> dict[str, Any]:
        """The meeting ends."""
        self.has_ended = True
        return events.meeting_ended(self.stream)

    @property
    def is_asked_for(self) -> bool:
        """Whether Zoom is to be asked for a stream now."""
        return self.is_wanted and not self.is_live and not self.has_ended


@pytest.fixture
def api() -> ScriptedZoom:
    return ScriptedZoom()


@pytest.fixture
def job(services: Services, api: Any) -> Iterator[RestartJob]:
    yield RestartJob(services.database, services.recall, api, services.config)


@pytest.mark.slow
@pytest.mark.environ(**S2S, RESTARTS_PER_MEETING="1000")
def test_zoom_is_asked_where_the_table_says_so_and_nowhere_else(
    services: Services, job: RestartJob, api: ScriptedZoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody answers at Recall's address; what waits for Recall is tested elsewhere.
    monkeypatch.setattr(job._recall_health, "takes_streams", lambda: True)

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        database=None,
    )
    @given(st.lists(MOVES, min_size=3, max_size=14))
    def run(moves: list[tuple[str, int]]) -> None:
        meeting = Meeting()
        take(services, meeting.start())
        for move, number in moves:
            if move == "start":
                take(services, meeting.start())
            elif move == "stop":
                take(services, meeting.stop(number))
            elif move == "another user's start":
                take(services, events.started(meeting.stream.beside()))
            elif move == "end":
                take(services, meeting.end())
            else:
                api.asked.clear()
                api.answers = [TryLater(error="500") if number else Accepted()]
                send_due(services, job, in_seconds=WHOLE_DAY)
                assert bool(api.asked) == meeting.is_asked_for
                user = meeting.stream.operator_id
                expected = [("start", str(meeting.stream.meeting_id), user)]
                assert api.asked == expected * meeting.is_asked_for
        take(services, meeting.end())
        api.asked.clear()
        send_due(services, job, in_seconds=WHOLE_DAY)
        assert api.asked == []

    run()
