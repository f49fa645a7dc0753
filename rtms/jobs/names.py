"""The names of the jobs in the dispatcher, the log and the metrics."""

from enum import StrEnum


class JobName(StrEnum):
    """The name of a job."""

    CONNECT = "connect"
    FOLLOW = "refresh"
    RESTART = "restart"
    NOTIFY = "notify"
    ARCHIVE = "archive"
    RETENTION = "retention"
    ERASE = "erase"
