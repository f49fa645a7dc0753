"""The meetings that the stand-in for Zoom's API knows, and their streams."""

import threading
from dataclasses import dataclass, field

from sandbox.events import Stream


@dataclass
class _Meeting:
    about: Stream  # its number, UUID, host and account
    streams: list[Stream] = field(default_factory=list)  # those that are live
    is_live: bool = True
    end_was_told: bool = False  # the server has accepted meeting.ended


class LiveMeetings:
    """Meetings by number. Threads may share it."""

    def __init__(self) -> None:
        """Start without meetings."""
        self._lock = threading.Lock()
        self._meetings: dict[str, _Meeting] = {}
        self._violations: list[str] = []

    @property
    def violations(self) -> list[str]:
        """The starts that should not have been requested."""
        with self._lock:
            return list(self._violations)

    def begin(self, meeting: Stream) -> None:
        """Begin a meeting."""
        with self._lock:
            self._meetings[str(meeting.meeting_id)] = _Meeting(meeting)

    def end(self, meeting: Stream) -> list[Stream]:
        """End a meeting, and return the streams that stop with it."""
        with self._lock:
            ended = self._meetings[str(meeting.meeting_id)]
            ended.is_live = False
            streams, ended.streams = ended.streams, []
            return streams

    def tell_end(self, meeting: Stream) -> None:
        """Note that the server knows that a meeting has ended."""
        with self._lock:
            self._meetings[str(meeting.meeting_id)].end_was_told = True

    def is_live(self, number: str, account_id: str) -> bool:
        """Return whether a meeting of an account is live."""
        with self._lock:
            meeting = self._meetings.get(number)
            return bool(meeting and meeting.is_live and meeting.about.account_id == account_id)

    def streams(self, number: str | int) -> list[Stream]:
        """Return a meeting's live streams."""
        with self._lock:
            meeting = self._meetings.get(str(number))
            return list(meeting.streams) if meeting else []

    def add_stream(self, stream: Stream) -> None:
        """Add a live stream to its meeting."""
        with self._lock:
            self._meetings[str(stream.meeting_id)].streams.append(stream)

    def remove_stream(self, stream: Stream) -> None:
        """Remove a stream from its meeting."""
        with self._lock:
            meeting = self._meetings[str(stream.meeting_id)]
            kept = (each for each in meeting.streams if each != stream)
            meeting.streams = list(kept)

    def judge_start(self, number: str, user_id: str | None) -> None:
        """Record a violation if a stream must not be requested for this meeting and user now."""
        with self._lock:
            meeting = self._meetings.get(number)
            if meeting is None:
                return
            if meeting.end_was_told:
                self._violations.append(f"start of {number} after its meeting.ended")
            elif _of_user(meeting, user_id):
                whose = user_id or meeting.about.host_id
                self._violations.append(f"start of {number} while {whose} has a live stream")

    def start_stream(self, number: str, user_id: str | None) -> Stream | None:
        """Start a user's stream; None where the user has one already, or the meeting is over."""
        with self._lock:
            meeting = self._meetings[number]
            if not meeting.is_live or _of_user(meeting, user_id):
                return None
            stream = meeting.about.beside(operator_id=user_id or meeting.about.host_id)
            meeting.streams.append(stream)
            return stream

    def stop_streams(self, number: str, user_id: str | None) -> list[Stream]:
        """Stop a user's stream, and return it."""
        with self._lock:
            meeting = self._meetings[number]
            stopped = _of_user(meeting, user_id)
            meeting.streams = [each for each in meeting.streams if each not in stopped]
            return stopped


def _of_user(meeting: _Meeting, user_id: str | None) -> list[Stream]:
    whose = user_id or meeting.about.host_id
    return [each for each in meeting.streams if each.operator_id == whose]
