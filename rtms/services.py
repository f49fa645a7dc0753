"""What the routes and commands of one process share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Flask, current_app

from config import Config
from rtms.archive import ArchiveLane
from rtms.connect import ConnectLane
from rtms.counters import Counts
from rtms.database import Database
from rtms.dispatcher import Dispatcher, Lane
from rtms.heartbeat import Heartbeat
from rtms.intake import Intake
from rtms.notify import NotifyLane
from rtms.outbox import listeners
from rtms.recall import Recall
from rtms.refresh import RefreshLane
from rtms.retention import RetentionLane
from rtms.tally import Tally


@dataclass
class Services:
    """The parts of the server, wired together."""

    config: Config
    database: Database
    recall: Recall
    intake: Intake
    counts: Counts = field(default_factory=Counts)
    tally: Tally = field(default_factory=Tally)
    app: Flask | None = None  # the sender of the signals
    dispatcher: Dispatcher | None = None  # started after a fork, where this process has one
    heartbeat: Heartbeat = field(init=False)  # started after a fork, too

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(
            self.database,
            self.counts,
            lambda: self.dispatcher is not None and self.dispatcher.is_running,
        )

    @classmethod
    def from_config(cls, config: Config) -> Services:
        """Make the parts. Nothing is connected or started yet."""
        database, counts = Database(config.database_url), Counts()
        return cls(
            config=config,
            database=database,
            recall=Recall(
                config.recall_api_key,
                config.recall_base_url,
                timeout=config.recall_timeout_seconds,
                connections=config.connect_threads,
                heard=counts.recall_answer,
            ),
            intake=Intake(database, config),
            counts=counts,
        )

    def init_app(self, app: Flask) -> None:
        """Let an app's routes and commands find these."""
        self.app = app
        app.extensions["rtms"] = self

    def start_dispatcher(self) -> Dispatcher:
        """Begin to connect streams, to follow them and to tell of them, in threads of this
        process."""
        parts = (self.database, self.recall, self.config)
        lanes: list[Lane[Any]] = [ConnectLane(*parts, self.counts), RefreshLane(*parts)]
        if self.app and listeners(self.config):
            lanes.append(NotifyLane(self.app, self.database, self.config))
        if self.config.archive_url:
            lanes.append(ArchiveLane(*parts))
        if self.config.retention_days:
            lanes.append(RetentionLane(self.database, self.config))
        self.dispatcher = Dispatcher(*lanes, is_crowded=lambda: self.intake.is_crowded)
        self.dispatcher.start()
        return self.dispatcher


def services(app: Flask | None = None) -> Services:
    """The services of an app, by default of the one that handles this request or command."""
    found: Services = (app or current_app).extensions["rtms"]
    return found
