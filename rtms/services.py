"""What the routes and commands of one process share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from config import Config
from rtms.db.database import Database
from rtms.jobs.names import JobName

# The rest is imported by who uses it: most commands need the database alone.
if TYPE_CHECKING:
    from rtms.intake.deliveries import Intake
    from rtms.monitoring.counters import Counts
    from rtms.monitoring.heartbeat import Heartbeat
    from rtms.monitoring.meeting_counts import MeetingCounter
    from rtms.queue.dispatcher import Dispatcher, Job
    from rtms.recall.client import Recall

_LATER = "rtms-later"  # among an app's extensions: what makes its services


@dataclass
class Services:
    """The parts of the server, wired together. Each is made when it is first asked for."""

    config: Config
    database: Database
    app: Flask | None = None  # the sender of the signals
    dispatcher: Dispatcher | None = None  # started after a fork, where this process has one

    @classmethod
    def from_config(cls, config: Config) -> Services:
        """Make the parts. Nothing is connected or started yet."""
        return cls(config, Database(config.database_url))

    @cached_property
    def counts(self) -> Counts:
        """What only this process can count."""
        from rtms.monitoring.counters import Counts

        return Counts()

    @cached_property
    def meeting_counter(self) -> MeetingCounter:
        """What is remembered of counting a long table."""
        from rtms.monitoring.meeting_counts import MeetingCounter

        return MeetingCounter()

    @cached_property
    def recall(self) -> Recall:
        """The client for Recall."""
        from rtms.recall.client import Recall

        return Recall(
            self.config.recall_api_key,
            self.config.recall_base_url,
            timeout=self.config.recall_timeout_seconds,
            connections=self.config.connect_threads,
            on_answer=self.counts.recall_answer,
        )

    @cached_property
    def intake(self) -> Intake:
        """Where deliveries are taken in."""
        from rtms.intake.deliveries import Intake

        return Intake(self.database, self.config)

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """This process's row of `processes`; started after a fork, too."""
        from rtms.monitoring.heartbeat import Heartbeat

        return Heartbeat(
            self.database,
            self.counts,
            lambda: self.dispatcher is not None and self.dispatcher.is_running,
        )

    def make_all(self) -> None:
        """Make every part now: threads must not do it at the same moment."""
        for part in ("counts", "meeting_counter", "recall", "intake", "heartbeat"):
            getattr(self, part)

    def init_app(self, app: Flask) -> None:
        """Let an app's routes and commands find these."""
        self.app = app
        app.extensions["rtms"] = self

    def start_dispatcher(self, names: Collection[JobName] = tuple(JobName)) -> Dispatcher:
        """Begin to connect streams, to follow them and to tell of them, in threads of this
        process.

        Args:
            names: the jobs that this process does, where the configuration wants them.
        """
        from rtms.jobs.archive.job import ArchiveJob
        from rtms.jobs.connect.job import ConnectJob
        from rtms.jobs.follow.job import FollowJob
        from rtms.jobs.notify.job import NotifyJob
        from rtms.jobs.notify.outbox import listeners
        from rtms.jobs.retention.job import RetentionJob
        from rtms.queue.dispatcher import Dispatcher

        self.make_all()
        parts = (self.database, self.recall, self.config)
        jobs: list[Job[Any]] = []
        if JobName.CONNECT in names:
            jobs.append(ConnectJob(*parts, self.counts))
        if JobName.FOLLOW in names:
            jobs.append(FollowJob(*parts))
        if JobName.NOTIFY in names and self.app and listeners(self.config):
            jobs.append(NotifyJob(self.app, self.database, self.config))
        if JobName.ARCHIVE in names and self.config.archive_url:
            jobs.append(ArchiveJob(*parts))
        if JobName.RETENTION in names and self.config.retention_days:
            jobs.append(RetentionJob(self.database, self.config))
        self.dispatcher = Dispatcher(*jobs, is_crowded=lambda: self.intake.is_crowded)
        self.dispatcher.start()
        return self.dispatcher


def get_services(app: Flask | None = None) -> Services:
    """The services of an app, by default of the one that handles this request or command."""
    of = app or current_app
    if "rtms" not in of.extensions:
        of.extensions[_LATER]()
    found: Services = of.extensions["rtms"]
    return found


def make_later(app: Flask, make: Callable[[], object]) -> None:
    """Have an app's services made by the first command that asks for them.

    Args:
        make: gives them to the app (`Services.init_app`).
    """
    app.extensions[_LATER] = make
