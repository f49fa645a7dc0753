"""The job that sends requests for streams to Zoom."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from config import Config
from models import CONNECTS, LIVE, STREAM_REQUESTS, RequestCause, RequestState
from rtms import clock
from rtms.db.database import Database
from rtms.jobs.names import JobName
from rtms.jobs.restart import after_outage
from rtms.jobs.restart.facts import facts_about
from rtms.jobs.restart.open_requests import QUEUE, RequestToSend
from rtms.jobs.restart.recall_health import RecallHealth
from rtms.monitoring.counters import Counts
from rtms.queue.paced import Pace
from rtms.queue.queue_job import QueueJob
from rtms.recall.client import Recall
from rtms.stream_requests import requests
from rtms.stream_requests.rules import Asked, Close, Send, Wait, after_sending, before_sending
from rtms.zoom.api import ZoomApi
from rtms.zoom.stream_outcomes import NotLive, StreamOutcome, TryLater
from rtms.zoom_users.tokens import TokenOfAccount, UserTokens

GATE = "zoom_api"
_THREADS = 8
LEASE_SECONDS = 60.0  # longer than a request and a new token take
_SECONDS_EACH = 0.1  # all processes together; Zoom's limits are several times higher
_RATE_LIMIT_PAUSE = 5.0  # seconds, where a 429 names no time

log = structlog.get_logger()


class RestartJob(QueueJob[RequestToSend]):
    """Sends requests to Zoom until their stream comes or there is no more hope for it."""

    name = JobName.RESTART
    threads = _THREADS

    def __init__(
        self,
        database: Database,
        recall: Recall,
        zoom_api: ZoomApi,
        config: Config,
        counts: Counts | None = None,
        user_tokens: UserTokens | None = None,
    ) -> None:
        pace = Pace(database, GATE, seconds_each=_SECONDS_EACH)
        super().__init__(database, QUEUE, lease_seconds=LEASE_SECONDS, pace=pace)
        self._zoom_api = zoom_api
        self._config = config
        self._counts = counts or Counts()
        self._user_tokens = user_tokens
        self._recall_health = RecallHealth(database, recall)
        self._gate = pace
        self._started_at = clock.now()
        self._has_looked_back = False

    def next_due(self) -> datetime | None:
        """Return when a request is next due. The first time, look for an outage before this process
        started."""
        if not self._has_looked_back:
            if self._config.restart_streams:
                self.database.write(self._look_back)
            self._has_looked_back = True
        return super().next_due()

    def _look_back(self, connection: Connection) -> None:
        window = timedelta(seconds=self._config.connect_window_seconds)
        if not after_outage.was_down(connection, started_at=self._started_at, window=window):
            return
        live = after_outage.look_at_live_streams(
            connection, started_at=self._started_at, now=clock.now()
        )
        if live:
            log.warning(
                "no process was running for a while; asking Recall about the streams that were "
                "live, and Zoom for those that are gone",
                streams=len(live),
            )

    def work(self, row: RequestToSend) -> None:
        """Send a request if it still makes sense, and record what follows."""
        known = facts_about(
            self.database, row, recall_takes_streams=self._recall_health.takes_streams
        )
        step = before_sending(
            row.asked, known, most_restarts=self._config.restarts_per_meeting, now=clock.now()
        )
        if not self._is_on(row):
            step = Close(state=RequestState.WITHDRAWN, error="It was switched off.")
        if not isinstance(step, Send):
            live = known.live_row if isinstance(step, Close) else None
            self._record(row, step, live_row=live)
            return
        if not self.database.write(lambda connection: _begin(connection, row)):
            return  # it was withdrawn, or another process has it
        outcome = self._zoom_api.change_stream(
            row.action,
            meeting_id=row.meeting_id,
            participant_user_id=row.operator_id or None,
            tokens=self._tokens_for(row),
        )
        self._counts.zoom_request(row.cause, outcome.name)
        now = clock.now()
        sent = self._counted(row, outcome)
        if isinstance(outcome, TryLater) and outcome.is_rate_limit:
            seconds = max(outcome.retry_after or 0.0, _RATE_LIMIT_PAUSE)
            self._gate.close(until=now + timedelta(seconds=seconds))
        self._record(
            row,
            after_sending(sent, outcome, now=now),
            attempts=sent.attempts,
            not_live=sent.not_live,
        )

    def _is_on(self, row: RequestToSend) -> bool:
        """Return whether the configuration still asks for requests of this cause."""
        if row.cause == RequestCause.BY_HAND:
            return True
        if row.cause == RequestCause.NEVER_CAME:
            return self._config.start_streams != "off"
        return self._config.restart_streams

    def _tokens_for(self, row: RequestToSend) -> TokenOfAccount | None:
        """Return a user's tokens for a meeting of another account; None for the app's own, and
        where no such user has installed the app."""
        own = self._config.zoom_s2s_account_id
        if self._user_tokens is None or row.account_id == own:
            return None
        return self._user_tokens.of(
            account_id=row.account_id, operator_id=row.operator_id, own_account_id=own
        )

    def _counted(self, row: RequestToSend, outcome: StreamOutcome) -> Asked:
        is_try = not (isinstance(outcome, TryLater) and outcome.is_rate_limit)
        return replace(
            row.asked,
            attempts=row.attempts + is_try,
            not_live=row.not_live + 1 if isinstance(outcome, NotLive) else 0,
        )

    def _record(
        self, row: RequestToSend, step: Wait | Close, *, live_row: int | None = None, **sent: Any
    ) -> None:
        """Record a step, unless the request was closed or leased by another process meanwhile."""

        def write(connection: Connection) -> bool:
            if live_row is not None:
                # Everyone locks meetings before requests: no deadlock.
                both = sa.select(CONNECTS.c.id).where(CONNECTS.c.id.in_((row.replaces, live_row)))
                self.database.lock_rows(connection, both)
                if not _is_live(connection, live_row):  # it was lost meanwhile
                    QUEUE.hand_back(connection, [row], now=clock.now())
                    return False
            is_ours = QUEUE.record(
                connection,
                row,
                state=step.state,
                due_at=step.until if isinstance(step, Wait) else None,
                last_error=step.error,
                led_to=live_row,
                **sent,
            )
            if is_ours and live_row is not None and row.replaces is not None:
                requests.link(connection, [row.replaces], live_row)
            return is_ours

        if self.database.write(write):
            _log(row, step)


def _begin(connection: Connection, row: RequestToSend) -> bool:
    """Record that a request is being sent. Return False where it is no longer ours to send."""
    c = STREAM_REQUESTS.c
    sending = STREAM_REQUESTS.update().where(c.id == row.id, c.lease_owner == row.lease_owner)
    return connection.execute(sending.values(sent_at=clock.now())).rowcount == 1


def _is_live(connection: Connection, id: int) -> bool:
    live = sa.exists().where(CONNECTS.c.id == id, sa.text(LIVE))
    return bool(connection.scalar(sa.select(live)))


def _log(row: RequestToSend, step: Wait | Close) -> None:
    where = log.bind(
        meeting_id=row.meeting_id, action=row.action, cause=row.cause, replaces=row.replaces
    )
    match step:
        case Close(state=RequestState.REFUSED | RequestState.GIVEN_UP):
            where.error("the stream cannot be asked for", state=step.state, error=step.error)
        case Close():
            where.info("the request is over", state=step.state, detail=step.error)
        case Wait(state=RequestState.ACCEPTED):
            where.info("Zoom was asked for the stream, and accepted")
        case Wait() if step.error != row.last_error:
            where.warning("the stream is asked for later", next_try=step.until, error=step.error)
