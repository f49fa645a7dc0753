"""The services that the routes and commands of a process share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from config import Config
from rtms.db.database import Database
from rtms.jobs.names import JobName

# The rest is imported when it is used, because most commands need only the database.
if TYPE_CHECKING:
    from rtms.intake.deliveries import Intake
    from rtms.jobs.restart.job import RestartJob
    from rtms.monitoring.counters import Counts
    from rtms.monitoring.heartbeat import Heartbeat
    from rtms.monitoring.meeting_counts import MeetingCounter
    from rtms.queue.dispatcher import Dispatcher, Job
    from rtms.recall.client import Recall
    from rtms.zoom.api import ZoomApi
    from rtms.zoom.user_tokens import UserOAuth
    from rtms.zoom_users.encryption import TokenCipher
    from rtms.zoom_users.tokens import UserTokens

_REFRESH_TIMEOUT = 10.0  # seconds to connect, and again for each read
_FACTORY = "rtms-later"  # among an app's extensions: creates its services


@dataclass
class Services:
    """The parts of the server. Each is created when it is first used."""

    config: Config
    database: Database
    app: Flask | None = None  # the sender of the signals
    dispatcher: Dispatcher | None = None  # started after a fork, if this process has one

    @classmethod
    def from_config(cls, config: Config) -> Services:
        """Create the services. Nothing is connected or started yet."""
        return cls(config, Database(config.database_url))

    @cached_property
    def counts(self) -> Counts:
        """The counters of this process."""
        from rtms.monitoring.counters import Counts

        return Counts()

    @cached_property
    def meeting_counter(self) -> MeetingCounter:
        """The counter of meetings, which remembers old rows."""
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
        """The intake of deliveries."""
        from rtms.intake.deliveries import Intake

        return Intake(self.database, self.config)

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """The writer of this process's row in `processes`. It is also started after a fork."""
        from rtms.monitoring.heartbeat import Heartbeat

        return Heartbeat(
            self.database,
            self.counts,
            lambda: self.dispatcher is not None and self.dispatcher.is_running,
        )

    @cached_property
    def zoom_api(self) -> ZoomApi | None:
        """The client for Zoom's API; None without the credentials of a Server-to-Server OAuth
        app."""
        config = self.config
        if not (
            config.zoom_s2s_account_id
            and config.zoom_s2s_client_id
            and config.zoom_s2s_client_secret
        ):
            return None
        from rtms.zoom.api import ZoomApi

        return ZoomApi(
            account_id=config.zoom_s2s_account_id,
            client_id=config.zoom_s2s_client_id,
            client_secret=config.zoom_s2s_client_secret,
            rtms_client_id=config.zoom_client_id,
            api_url=config.zoom_api_url,
            oauth_url=config.zoom_oauth_url,
        )

    @cached_property
    def token_cipher(self) -> TokenCipher | None:
        """What encrypts the tokens of Zoom users; None without TOKEN_ENCRYPTION_KEY."""
        if not self.config.token_encryption_keys:
            return None
        from rtms.zoom_users.encryption import TokenCipher

        return TokenCipher(self.config.token_encryption_keys)

    def user_oauth(self, *, timeout: float) -> UserOAuth:
        """Return a client that gets the tokens of users who install the app.

        Args:
            timeout: seconds to connect, and again for each read.
        """
        from rtms.zoom.user_tokens import UserOAuth

        return UserOAuth(
            client_id=self.config.zoom_client_id,
            client_secret=self.config.zoom_client_secret,
            api_url=self.config.zoom_api_url,
            oauth_url=self.config.zoom_oauth_url,
            timeout=timeout,
        )

    @cached_property
    def restart_job(self) -> RestartJob:
        """The job that asks Zoom for streams. Only where `zoom_api` is not None."""
        from rtms.jobs.restart.job import RestartJob

        assert self.zoom_api
        return RestartJob(
            self.database,
            self.recall,
            self.zoom_api,
            self.config,
            self.counts,
            self._user_tokens(),
        )

    def _user_tokens(self) -> UserTokens | None:
        if self.token_cipher is None:
            return None
        from rtms.zoom_users.tokens import UserTokens

        oauth = self.user_oauth(timeout=_REFRESH_TIMEOUT)
        return UserTokens(self.database, oauth, self.token_cipher)

    def make_all(self) -> None:
        """Create every part now, before threads could do so at the same time."""
        for part in (
            "counts",
            "meeting_counter",
            "recall",
            "zoom_api",
            "token_cipher",
            "intake",
            "heartbeat",
        ):
            getattr(self, part)

    def init_app(self, app: Flask) -> None:
        """Register these services with an app."""
        self.app = app
        app.extensions["rtms"] = self

    def start_dispatcher(self, names: Collection[JobName] = tuple(JobName)) -> Dispatcher:
        """Start jobs (connect, follow, notify, ...) in threads of this process.

        Args:
            names: the jobs that this process does, if the configuration asks for them.
        """
        from rtms.jobs.archive.job import ArchiveJob
        from rtms.jobs.connect.job import ConnectJob
        from rtms.jobs.erase.job import EraseJob
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
        if JobName.RESTART in names and self.zoom_api:
            jobs.append(self.restart_job)
        if JobName.NOTIFY in names and self.app and listeners(self.config):
            jobs.append(NotifyJob(self.app, self.database, self.config))
        if JobName.ARCHIVE in names and self.config.archive_url:
            jobs.append(ArchiveJob(*parts))
        if JobName.RETENTION in names and self.config.retention_days:
            jobs.append(RetentionJob(self.database, self.config))
        if JobName.ERASE in names:
            jobs.append(EraseJob(*parts))
        self.dispatcher = Dispatcher(*jobs, is_crowded=lambda: self.intake.is_crowded)
        self.dispatcher.start()
        return self.dispatcher


def get_services(app: Flask | None = None) -> Services:
    """Return the services of an app, by default of the current one."""
    extensions = (app or current_app).extensions
    if "rtms" not in extensions:
        extensions[_FACTORY]()
    found: Services = extensions["rtms"]
    return found


def make_later(app: Flask, make: Callable[[], object]) -> None:
    """Create an app's services when a command first needs them.

    Args:
        make: creates them, and calls `Services.init_app`.
    """
    app.extensions[_FACTORY] = make
