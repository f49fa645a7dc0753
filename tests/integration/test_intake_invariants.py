"""Intake under any sequence of deliveries and of the dispatcher's moves: what ARCHITECTURE.md calls
its invariants holds after every step, and the order of the deliveries does not change the end."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from config import Config
from models import CONNECTS, EVENTS, GATES, LIVE, NOTIFICATIONS, RECORDINGS
from rtms import clock
from rtms.db import migrate
from rtms.db.database import Database
from rtms.intake.deliveries import Intake
from rtms.jobs.connect import manual_retry
from rtms.jobs.connect.job import ConnectJob
from rtms.jobs.connect.pending import PendingRow
from rtms.recall.client import Recall
from rtms.recall.create_outcomes import (
    Created,
    CreateOutcome,
    NotDone,
    OutcomeUnknown,
    RateLimited,
    Refused,
)
from sandbox import Stream, events

BEGAN = datetime.now(UTC)
BEGAN_MS = int(BEGAN.timestamp() * 1000)
SERVERS = ("wss://a.example:443", "wss://b.example:443")
# The first two are of one user in one meeting.
STREAMS = ("stream-1", "stream-2", "stream-3", "stream-4")
MEETINGS = dict(zip(STREAMS, ("meeting-1", "meeting-1", "meeting-1", "meeting-2"), strict=True))
OPERATORS = dict(zip(STREAMS, ("user-1", "user-1", "user-2", "user-1"), strict=True))
MOMENTS = range(0, 60_000, 6_000)  # milliseconds
TABLES = (NOTIFICATIONS, RECORDINGS, EVENTS, CONNECTS, GATES)


def start(stream: str, moment: int, server: str, product: Any = "meeting") -> dict[str, Any]:
    who = Stream(
        rtms_stream_id=stream,
        meeting_uuid=MEETINGS[stream],
        product=product,
        operator_id=OPERATORS[stream],
        meeting_id=None,
        server_urls=server,
    )
    return events.started(who, event_ts=BEGAN_MS + moment)


def stop(stream: str, moment: int, reason: int = 6) -> dict[str, Any]:
    who = Stream(rtms_stream_id=stream, meeting_uuid=MEETINGS[stream])
    return events.stopped(who, reason, event_ts=BEGAN_MS + moment)


def interruption(stream: str, moment: int, server: str | None) -> dict[str, Any]:
    who = Stream(rtms_stream_id=stream, meeting_uuid=MEETINGS[stream])
    return events.interrupted(who, server_urls=server, event_ts=BEGAN_MS + moment)


def empty(database: Database) -> None:
    """Forget everything: faster than a new database for every example."""

    def job(connection: sa.Connection) -> None:
        connection.execute(CONNECTS.update().values(superseded_by=None))
        for table in TABLES:
            connection.execute(table.delete())

    database.write(job)


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    made = Database(config.database_url)
    migrate.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def examples(database: Database) -> int:
    """How many: each commit of PostgreSQL's and each fsync costs time."""
    return 100 if database.is_sqlite else 60


# ---- the order of deliveries

STARTS = st.builds(start, st.just("stream-1"), st.sampled_from(MOMENTS), st.sampled_from(SERVERS))
STOPS = st.builds(stop, st.just("stream-1"), st.sampled_from(MOMENTS))


def _moment(body: dict[str, Any]) -> int:
    return int(body["event_ts"])


# What happened to one stream; two things never at the same millisecond.
HISTORIES = st.lists(STARTS | STOPS, min_size=1, max_size=5, unique_by=_moment)


def in_short(body: dict[str, Any]) -> str:
    servers = body["payload"].get("server_urls", "")
    return f"{body['event']} {(_moment(body) - BEGAN_MS) // 1000} s {servers}".strip()


def live(database: Database) -> list[tuple[str, str]]:
    """Which streams are to be connected or are, and through which server."""
    with database.read() as connection:
        rows = connection.execute(
            sa.select(CONNECTS.c.rtms_stream_id, CONNECTS.c.server_urls).where(sa.text(LIVE))
        )
        return sorted((row.rtms_stream_id, row.server_urls) for row in rows)


def is_as_told(database: Database, history: Sequence[dict[str, Any]]) -> bool:
    """Whether a stream is live as its latest event says, and through that start's servers."""
    last = max(history, key=_moment)
    expected = []
    if last["event"].endswith("started"):
        expected = [("stream-1", last["payload"]["server_urls"])]
    return live(database) == expected


@pytest.mark.slow
def test_every_order_of_three_events_ends_as_the_latest_of_them_says(
    database: Database, config: Config
) -> None:
    intake = Intake(database, config)
    kinds: list[Callable[[int], dict[str, Any]]] = [
        lambda moment: start("stream-1", moment, SERVERS[0]),
        lambda moment: start("stream-1", moment, SERVERS[1]),
        lambda moment: stop("stream-1", moment),
    ]
    wrong = []
    for chosen in itertools.product(kinds, repeat=3):
        history = [kind(moment) for kind, moment in zip(chosen, MOMENTS, strict=False)]
        for order in itertools.permutations(history):
            empty(database)
            for body in order:
                intake.take(body)
            if not is_as_told(database, history):
                wrong.append([in_short(body) for body in order])
    assert wrong == []


@pytest.mark.slow
def test_the_last_word_about_a_stream_counts_in_whatever_order_it_was_heard(
    database: Database, config: Config, examples: int
) -> None:
    intake = Intake(database, config)

    @settings(max_examples=3 * examples, deadline=None)
    @given(history=HISTORIES, data=st.data())
    def check(history: list[dict[str, Any]], data: st.DataObject) -> None:
        again = data.draw(st.lists(st.sampled_from(history), max_size=4))
        empty(database)
        for body in data.draw(st.permutations(history + again)):
            note(in_short(body))
            intake.take(body)
        assert is_as_told(database, history)

    check()


# ---- any sequence of deliveries and of the dispatcher's moves


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = BEGAN

    def read(self) -> datetime:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Request:
    """What reached Recall."""

    row_id: int
    key: str
    is_refused: bool  # Recall said that nothing was done


@dataclass
class FakeRecall:
    """Recall, with its memory of keys; what it answers is said before each call."""

    clock: Clock
    behaviour: str = "created"
    requests: list[Request] = field(default_factory=list)
    made: dict[str, list[str]] = field(default_factory=dict)  # row → connections
    _kept: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # key → id, since

    def create_direct_connect(
        self,
        *,
        zoom_rtms: Mapping[str, str],
        recording_config: Mapping[str, Any],
        metadata: Mapping[str, str],
        idempotency_key: str,
    ) -> CreateOutcome:
        row = metadata["meeting_direct_connect_id"]
        kept = self._kept.get(idempotency_key)
        is_kept = kept is not None and self.clock.now - kept[1] < timedelta(hours=1)
        refusal = None if is_kept else REFUSALS.get(self.behaviour)
        self.requests.append(
            Request(row_id=int(row), key=idempotency_key, is_refused=refusal is not None)
        )
        if refusal:
            return refusal
        if self.behaviour == "never arrived":
            return OutcomeUnknown(retry_after=None, error="No answer from Recall.")
        if not is_kept:
            kept = (f"recall-{uuid.uuid4()}", self.clock.now)
            self._kept[idempotency_key] = kept
            self.made.setdefault(row, []).append(kept[0])
        if self.behaviour == "answer lost":
            return OutcomeUnknown(retry_after=None, error="No answer from Recall.")
        assert kept is not None
        return Created(recall_id=kept[0], status="connecting", sub_code=None)


REFUSALS: dict[str, CreateOutcome] = {
    "refused": Refused(error="Recall answered 400."),
    "limited": RateLimited(retry_after=5.0, error="Recall answered 429."),
    "no worker": NotDone(retry_after=None, error="Recall answered 507."),
}
BEHAVIOURS = st.sampled_from(["created", "created", "never arrived", "answer lost", *REFUSALS])


class Machine(RuleBasedStateMachine):
    """Zoom, Recall, two processes of the server and a person, one move at a time."""

    database: ClassVar[Database]
    base: ClassVar[Config]
    clock: ClassVar[Clock]

    def __init__(self) -> None:
        super().__init__()
        empty(self.database)
        self.clock.now = BEGAN + timedelta(seconds=60)
        self.recall = FakeRecall(self.clock)
        self.in_flight: list[PendingRow] = []
        self.delivered: list[dict[str, Any]] = []
        self.retries: list[tuple[int, int]] = []  # row, and how many requests came before

    @initialize(record_streams=st.sampled_from(["all", "all", "first", "host"]))
    def configure(self, record_streams: str) -> None:
        self.config = replace(self.base, record_streams=record_streams)
        self.intake = Intake(self.database, self.config)
        self.connect_job = ConnectJob(self.database, cast(Recall, self.recall), self.config)

    # Zoom's moves

    def deliver(self, body: dict[str, Any]) -> None:
        self.delivered.append(body)
        self.intake.take(body)

    @rule(
        stream=st.sampled_from(STREAMS),
        moment=st.sampled_from(MOMENTS),
        server=st.sampled_from(SERVERS),
        product=st.sampled_from(["meeting"] * 6 + ["webinar", "session"]),
    )
    def start(self, stream: str, moment: int, server: str, product: str) -> None:
        self.deliver(start(stream, moment, server, product))

    @rule(stream=st.sampled_from(STREAMS), moment=st.sampled_from(MOMENTS))
    def stop(self, stream: str, moment: int) -> None:
        # Never at the same millisecond as a start: whose stop it is would be anybody's guess.
        self.deliver(stop(stream, moment + 1))

    @rule(
        stream=st.sampled_from(STREAMS),
        moment=st.sampled_from(MOMENTS),
        server=st.sampled_from([None, *SERVERS]),
    )
    def interrupt(self, stream: str, moment: int, server: str | None) -> None:
        self.deliver(interruption(stream, moment + 2, server))

    @rule(number=st.integers(1600, 1603))
    def concurrency(self, number: int) -> None:
        self.deliver(events.concurrency_near_limit(number, event_ts=BEGAN_MS))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        body = data.draw(st.sampled_from(self.delivered))
        assert self.intake.take(body).outcome == "duplicate"

    # the dispatcher's

    @rule(limit=st.sampled_from([1, 1, 5]))
    def lease(self, limit: int) -> None:
        self.in_flight += self.connect_job.lease(limit)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), behaviour=BEHAVIOURS)
    def work(self, data: st.DataObject, behaviour: str) -> None:
        job = self._one_in_flight(data)
        self.recall.behaviour = behaviour
        self.connect_job.work(job)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), was_sent=st.booleans())
    def die(self, data: st.DataObject, was_sent: bool) -> None:
        """The process is killed before or after its request reached Recall."""
        job = self._one_in_flight(data)
        if was_sent:
            self.recall.behaviour = "answer lost"
            self.recall.create_direct_connect(
                zoom_rtms={},
                recording_config={},
                metadata={"meeting_direct_connect_id": str(job.id)},
                idempotency_key=job.idempotency_key,
            )

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        self.connect_job.hand_back([self._one_in_flight(data)])

    def _one_in_flight(self, data: st.DataObject) -> PendingRow:
        job = data.draw(st.sampled_from(self.in_flight))
        self.in_flight.remove(job)
        return job

    # a person's, and time's

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        numbers = [event.id for event in self._all(EVENTS)]
        if numbers:
            assert self.intake.replay(data.draw(st.sampled_from(numbers))) is not None

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        failed = [row.id for row in self._all(CONNECTS) if row.state == "failed"]
        if failed:
            id = data.draw(st.sampled_from(failed))
            if manual_retry.retry(self.database, id, window=timedelta(seconds=60)).done:
                self.retries.append((id, len(self.recall.requests)))

    @rule(seconds=st.sampled_from([1, 1, 5, 20, 70, 600, 3600]))
    def wait(self, seconds: int) -> None:
        self.clock.now += timedelta(seconds=seconds)
        # No call outlives its lease (`Config.lease_seconds`): whoever is late is dead.
        self.in_flight = [job for job in self.in_flight if job.leased_until > self.clock.now]

    # what holds after each of them

    @invariant()
    def holds(self) -> None:
        rows, recorded = self._all(CONNECTS), self._all(EVENTS)
        self.what_was_answered_is_recorded_once(recorded)
        self.no_row_is_live_once_its_stop_was_heard(rows, recorded)
        self.a_stream_has_one_live_row_and_a_start_one_row(rows)
        self.every_row_is_whole(rows)
        self.recall_has_a_row_once_and_a_row_what_recall_made_for_it(rows)
        self.another_key_follows_a_refusal_or_a_persons_retry_only()

    def what_was_answered_is_recorded_once(self, recorded: list[Any]) -> None:
        found = [_identity(event.payload) for event in recorded]
        assert sorted(found) == sorted({_identity(body) for body in self.delivered})

    def no_row_is_live_once_its_stop_was_heard(self, rows: list[Any], recorded: list[Any]) -> None:
        stops = [each for each in recorded if each.event.endswith("stopped")]
        for row in filter(_is_live, rows):
            heard = [each for each in stops if each.rtms_stream_id == row.rtms_stream_id]
            assert all(each.event_ts < row.event_ts for each in heard)

    def a_stream_has_one_live_row_and_a_start_one_row(self, rows: list[Any]) -> None:
        live = [row for row in rows if _is_live(row)]
        assert len(live) == len({row.rtms_stream_id for row in live})
        users = [(row.meeting_uuid, row.operator_id) for row in live if row.operator_id]
        assert len(users) == len(set(users))
        assert len(rows) == len({(row.rtms_stream_id, row.event_ts) for row in rows})
        if self.config.record_streams == "first":
            assert len(live) == len({row.meeting_uuid for row in live})

    def every_row_is_whole(self, rows: list[Any]) -> None:
        numbered = {row.id: row for row in rows}
        for row in rows:
            assert row.recall_id or row.state != "connected"
            assert (row.reason is not None) == (row.state in ("failed", "skipped"))
            assert (row.lease_owner is None) == (row.leased_until is None)
            assert row.due_at or row.state != "pending", "nobody would ever look at it again"
            assert row.lease_owner is None or row.state in ("pending", "ended")
            assert not (row.state == "skipped" and (row.recall_id or row.due_at))
            assert not (row.state == "connected" and row.stopped_at)
            if row.superseded_by:
                newer = numbered[row.superseded_by]
                if newer.rtms_stream_id == row.rtms_stream_id:
                    assert newer.event_ts > row.event_ts
                else:
                    assert newer.meeting_uuid == row.meeting_uuid
                    assert newer.operator_id == row.operator_id
                    assert newer.event_ts >= row.event_ts
                assert row.state not in ("pending", "connected")
        assert len(rows) == len({row.idempotency_key for row in rows})

    def recall_has_a_row_once_and_a_row_what_recall_made_for_it(self, rows: list[Any]) -> None:
        for row in rows:
            made = self.recall.made.get(str(row.id), [])
            assert len(made) <= 1 + sum(id == row.id for id, _ in self.retries)
            assert row.recall_id is None or row.recall_id in made

    def another_key_follows_a_refusal_or_a_persons_retry_only(self) -> None:
        last: dict[int, tuple[int, Request]] = {}
        for at, request in enumerate(self.recall.requests):
            number, before = last.get(request.row_id, (at, request))
            asked = any(id == request.row_id and number < when <= at for id, when in self.retries)
            assert before.key == request.key or before.is_refused or asked
            last[request.row_id] = (at, request)

    def teardown(self) -> None:
        """Left alone with a Recall that works, every row comes to rest."""
        if not hasattr(self, "connect_job"):
            return
        self.recall.behaviour = "created"
        for _ in range(10):
            self.clock.now += timedelta(minutes=10)
            for job in self.connect_job.lease(100):
                self.connect_job.work(job)
        self.holds()
        rows = self._all(CONNECTS)
        assert [row for row in rows if row.state == "pending"] == []
        held = [row for row in rows if row.leased_until and row.leased_until > self.clock.now]
        assert held == []

    def _all(self, table: sa.Table) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))


def _identity(body: dict[str, Any]) -> tuple[str, int, str]:
    """What two deliveries of one event have in common."""
    payload = body["payload"]
    return body["event"], _moment(body), payload.get("rtms_stream_id") or str(payload)


def _is_live(row: Any) -> bool:
    return row.state in ("pending", "connected") and row.stopped_at is None


@pytest.mark.slow
def test_the_invariants_hold_after_any_sequence_of_moves(
    database: Database, config: Config, examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Moves(Machine):
        pass

    Moves.database, Moves.base, Moves.clock = database, config, Clock()
    monkeypatch.setattr(clock, "now", Moves.clock.read)
    run_state_machine_as_test(
        Moves,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# ---- what random moves rarely meet


class Moved:
    """A server at rest, and a Recall that is told what to answer."""

    def __init__(self, database: Database, config: Config) -> None:
        self.recall = FakeRecall(Clock())
        self.intake = Intake(database, config)
        self.connect_job = ConnectJob(database, cast(Recall, self.recall), config)

    def connect(self, behaviour: str) -> None:
        self.recall.behaviour = behaviour
        (job,) = self.connect_job.lease(1)
        self.connect_job.work(job)


def test_a_retry_beside_another_live_stream_of_the_meeting_is_refused_in_words(
    database: Database, config: Config
) -> None:
    moved = Moved(database, replace(config, record_streams="first"))
    moved.intake.take(start("stream-1", 0, SERVERS[0]))
    moved.connect("refused")
    moved.intake.take(start("stream-3", 6000, SERVERS[0]))
    with database.read() as connection:
        id = connection.scalar(sa.select(CONNECTS.c.id).where(CONNECTS.c.state == "failed"))
    assert id is not None
    retried = manual_retry.retry(database, id, window=timedelta(seconds=60))
    assert not retried.done
    assert live(database) == [("stream-3", SERVERS[0])]


def test_a_retry_beside_a_later_stream_of_the_same_user_is_refused_in_words(
    database: Database, config: Config
) -> None:
    moved = Moved(database, config)
    moved.intake.take(start("stream-1", 0, SERVERS[0]))
    moved.connect("refused")
    moved.intake.take(start("stream-2", 6000, SERVERS[0]))
    with database.read() as connection:
        id = connection.scalar(sa.select(CONNECTS.c.id).where(CONNECTS.c.state == "failed"))
    assert id is not None
    retried = manual_retry.retry(database, id, window=timedelta(seconds=60))
    assert not retried.done
    assert "a later stream of the same user" in retried.detail
    assert live(database) == [("stream-2", SERVERS[0])]


def test_a_late_answer_about_a_row_that_was_replaced_leaves_the_later_one_live(
    database: Database, config: Config
) -> None:
    """Two processes had the row in turn: one gave it up, and the other's answer came after the next
    stream had begun."""
    moved = Moved(database, config)
    moved.intake.take(start("stream-1", 0, SERVERS[0]))
    (job,) = moved.connect_job.lease(1)
    database.write(
        lambda connection: connection.execute(
            CONNECTS.update().values(
                state="failed", reason="window_expired", lease_owner=None, leased_until=None
            )
        )
    )
    moved.intake.take(start("stream-2", 6000, SERVERS[0]))
    moved.recall.behaviour = "created"
    moved.connect_job.work(job)
    with database.read() as connection:
        first, second = connection.execute(sa.select(CONNECTS).order_by(CONNECTS.c.id))
    assert (first.state, first.reason, bool(first.recall_id)) == ("ended", None, True)
    assert first.due_at is not None  # what it recorded is followed
    assert second.state == "pending"


def test_a_try_that_is_repeated_for_an_earlier_run_does_not_kick_out_the_next(
    database: Database, config: Config
) -> None:
    """One connection a stream: a request for the run before, however harmless under its key where
    Recall had done it, ends the live connection where Recall had not."""
    moved = Moved(database, config)
    began = clock.now()
    at = int(began.timestamp() * 1000) - BEGAN_MS
    moved.intake.take(start("stream-1", at, SERVERS[0]))
    moved.connect("never arrived")
    moved.intake.take(stop("stream-1", at + 1))
    # The run before is not asked about again until the next one is connected.
    put_off(database, began + timedelta(seconds=30))
    moved.intake.take(start("stream-1", at + 2, SERVERS[0]))
    moved.connect("created")
    put_off(database, began)
    if leased := moved.connect_job.lease(1):
        moved.recall.behaviour = "created"
        moved.connect_job.work(leased[0])
    with database.read() as connection:
        (row,) = connection.execute(sa.select(CONNECTS).where(CONNECTS.c.state == "connected"))
    made = [id for ids in moved.recall.made.values() for id in ids]
    assert made[-1] == row.recall_id, "a later connection of the same stream kicked this one out"


def put_off(database: Database, due_at: datetime) -> None:
    database.write(
        lambda connection: connection.execute(
            CONNECTS.update().where(CONNECTS.c.state == "pending").values(due_at=due_at)
        )
    )
