"""Read the fields of one of Zoom's events, in either of the two shapes that Zoom sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rtms import clock
from rtms.text import shown

_MAX_ID = 255  # characters; Zoom's own ids have 24 to 36
# Milliseconds. A plausible `event_ts` is after 2020, when RTMS did not exist yet, and at most a day
# after the event was sent.
_EARLIEST_EVENT_TS = 1_577_836_800_000
_MAX_AHEAD = 86_400_000
# These need no field: their payload is displayed in any form.
_NO_SCHEMA = ("meeting.started", "meeting.ended", "webinar.ended", "rtms.request_status")


class MalformedEvent(Exception):
    """An RTMS event lacks a field that is needed. The message names it and its expected form."""


class EventFields:
    """An event's fields. Zoom's OpenAPI has them in `payload`, some of its guides in
    `payload.object`. Of several names, the first with a valid value counts.

    Args:
        body: the delivery.
        sent_ts: when Zoom sent it, in milliseconds since epoch.

    Raises:
        MalformedEvent: it has no `payload`, though Zoom publishes one for its kind.
    """

    def __init__(self, body: dict[str, Any], sent_ts: int) -> None:
        self._name: str = body["event"]
        self._sent_ts = sent_ts
        payload = body.get("payload")
        if not isinstance(payload, dict):
            if self._name not in _NO_SCHEMA:
                raise MalformedEvent(f"{self._name} has no `payload` object.")
            payload = {"payload": payload}
        nested = payload.get("object")
        self._payload: dict[str, Any] = payload
        self._fields = {**payload, **nested} if isinstance(nested, dict) else payload
        self._event_ts = body.get("event_ts")

    def event_ts(self) -> int:
        """Return when it happened, in milliseconds since epoch; when it was sent, if its own time
        is implausible.

        Raises:
            MalformedEvent: it has no whole number there.
        """
        value = self._event_ts
        if type(value) is not int:
            raise MalformedEvent(
                f"{self._name} has no valid `event_ts`: it must be milliseconds since 1970."
            )
        is_plausible = _EARLIEST_EVENT_TS <= value <= self._sent_ts + _MAX_AHEAD
        return value if is_plausible else self._sent_ts

    def required_text(self, *names: str, longest: int = _MAX_ID) -> str:
        """Return a printable string.

        Raises:
            MalformedEvent: none of the names has one of at most `longest` characters.
        """
        for name in names:
            value = self._fields.get(name)
            if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable():
                return value
        raise MalformedEvent(
            f"{self._name} has no valid `{names[0]}`: it must be a printable string "
            f"of 1 to {longest} characters."
        )

    def text(self, *names: str, longest: int = _MAX_ID) -> str | None:
        """Return a printable string, or a number as text; None where there is none."""
        for name in names:
            if (value := _valid_text(self._fields.get(name), longest)) is not None:
                return value
        return None

    def title(self, name: str) -> str | None:
        """Return a text that a person wrote, made fit to be displayed."""
        value = self._fields.get(name)
        return shown(value) if isinstance(value, str) else None

    def anywhere(self, *names: str) -> str | None:
        """Return the first valid text with one of these names, at any depth."""
        level: list[Any] = [self._payload]
        while level:
            objects = [each for each in level if isinstance(each, dict)]
            found = (_valid_text(each.get(name), _MAX_ID) for each in objects for name in names)
            if value := next((value for value in found if value), None):
                return value
            lists = [each for each in level if isinstance(each, list)]
            level = [inner for each in objects for inner in each.values()]
            level += [inner for each in lists for inner in each]
        return None

    def integer(self, name: str) -> int | None:
        """Return a number that the database's integer can store; else None."""
        value = self._fields.get(name)
        return value if type(value) is int and abs(value) < 2**31 else None

    def moment(self, name: str) -> int | None:
        """Return a time in ISO 8601 as milliseconds since epoch; None where there is none."""
        value = self._fields.get(name)
        try:
            moment = datetime.fromisoformat(value if isinstance(value, str) else "")
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return clock.to_milliseconds(aware)
        except (ValueError, OverflowError):
            return None

    def boolean(self, name: str) -> bool | None:
        """Return a boolean; None where there is none."""
        value = self._fields.get(name)
        return value if isinstance(value, bool) else None

    def object(self, name: str) -> dict[str, Any]:
        """Return an object; empty where there is none."""
        value = self._fields.get(name)
        return value if isinstance(value, dict) else {}


def _valid_text(value: object, longest: int) -> str | None:
    """Return a printable text within the limit, or a number as text; else None."""
    if type(value) is int and abs(value) < 2**63:
        value = str(value)
    is_valid = isinstance(value, str) and 0 < len(value) <= longest and value.isprintable()
    return value if isinstance(value, str) and is_valid else None
