"""The jobs, as the dispatcher, the log and the metrics name them."""

from enum import StrEnum


class JobName(StrEnum):
    """What a job is called."""

    CONNECT = "connect"
    FOLLOW = "refresh"
    NOTIFY = "notify"
    ARCHIVE = "archive"
    RETENTION = "retention"
