"""Why a request to Recall failed."""

from __future__ import annotations

from rtms.http.answer import NoAnswer
from rtms.http.session import NETWORK_ERRORS, network_error_text


class RecallError(Exception):
    """A request to Recall failed. The message says why."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        retry_after: float | None = None,
        *,
        passes: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after  # seconds before the next request, where Recall names them
        self.passes = passes  # False: a person must first fix what the message names


class ForeignRedirect(Exception):
    """Recall's address redirects to another host, or in a loop."""


ERRORS = (*NETWORK_ERRORS, NoAnswer)


def error_text(error: Exception) -> str:
    """Return why a request had no answer, without URLs and without a full stop."""
    ours = isinstance(error, NoAnswer | ForeignRedirect)
    return str(error).rstrip(".") if ours else network_error_text(error)
