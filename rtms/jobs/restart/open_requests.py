"""The queue of open requests to Zoom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models import OPEN_REQUEST, STREAM_REQUESTS
from rtms.queue.leases import Leased, Queue
from rtms.stream_requests.rules import Asked


@dataclass(frozen=True, kw_only=True)
class RequestToSend(Leased):
    """A request to send."""

    action: str
    cause: str
    meeting_id: str
    meeting_uuid: str | None
    account_id: str | None
    operator_id: str
    created_at: datetime
    attempts: int
    not_live: int
    replaces: int | None
    last_error: str | None

    @property
    def asked(self) -> Asked:
        """The request as the rules see it."""
        return Asked(
            action=self.action,
            cause=self.cause,
            created_at=self.created_at,
            attempts=self.attempts,
            not_live=self.not_live,
            last_error=self.last_error,
        )


QUEUE = Queue(
    RequestToSend,
    table=STREAM_REQUESTS,
    predicate=OPEN_REQUEST,
    due_at=STREAM_REQUESTS.c.due_at,
    order_by=STREAM_REQUESTS.c.due_at,
    index="ix_requests_due",
)
