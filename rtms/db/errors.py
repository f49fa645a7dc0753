"""What the database cannot do, and what it says about it."""

from __future__ import annotations

from sqlalchemy import exc


class DatabaseUnavailable(Exception):
    """The database did not do what was asked and may do it later. The message is its own word,
    without the statement and its values."""


class RowRefused(DatabaseUnavailable):
    """The database is there and does not take this row: the others may well be written."""


def is_worth_repeating(error: Exception) -> bool:
    """Return whether a transaction may well succeed at once: a connection had died in the
    pool, or PostgreSQL chose one of two transactions that waited for each other."""
    if not isinstance(error, exc.DBAPIError):
        return False
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in (
        "40001",  # serialization failure
        "40P01",  # deadlock detected
    )


def error_text(error: Exception) -> str:
    """Return what a database error says, without the row that it may quote."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    # PostgreSQL's details quote the row; its first line does not.
    primary = getattr(getattr(origin, "diag", None), "message_primary", None)
    if primary:
        return str(primary)
    return " ".join(str(origin).split()) or type(origin).__name__
