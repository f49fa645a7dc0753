"""The queues of all jobs, for metrics, health and the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtms.jobs.archive import eligibility
from rtms.jobs.connect import pending
from rtms.jobs.erase import erasures
from rtms.jobs.follow import followed
from rtms.jobs.names import JobName
from rtms.jobs.notify import outbox
from rtms.jobs.restart import open_requests
from rtms.queue.leases import Queue

QUEUES: Mapping[str, Queue[Any]] = {
    JobName.CONNECT: pending.QUEUE,
    JobName.FOLLOW: followed.QUEUE,
    JobName.RESTART: open_requests.QUEUE,
    JobName.NOTIFY: outbox.QUEUE,
    JobName.ARCHIVE: eligibility.QUEUE,
    JobName.ERASE: erasures.QUEUE,
}
