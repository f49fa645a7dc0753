"""Ask Recall for a recording that is archived, and for fresh links to its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from rtms import clock
from rtms.jobs.archive.retry_policy import NotArchived
from rtms.queue.lease_renewal import LeaseRenewal
from rtms.queue.paced import Pace
from rtms.recall.client import Recall
from rtms.recall.errors import RecallError
from rtms.recall.lookup import look_up
from rtms.recall.responses import Medium, RecordingState


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How to ask for one recording while its lease holds."""

    recall: Recall
    turns: Pace  # of all processes' requests to Recall
    lease: LeaseRenewal
    recall_id: str | None
    recall_recording_id: str
    audio: int  # how many mixed audios it should have

    def recording(self) -> RecordingState:
        """Return the recording as Recall has it now, when it is done.

        Raises:
            NotArchived: Recall did not return it, or it is not done.
            LeaseLost: the lease ended meanwhile.
        """
        try:
            found = look_up(
                self.recall, self.recall_id, audio=self.audio, take_turn=self._wait_for_turn
            )
        except RecallError as error:
            if error.retry_after is not None:
                self.turns.close(until=clock.now() + timedelta(seconds=error.retry_after))
            if error.status == 404:
                raise NotArchived(
                    "Recall does not have it any more (404): it was deleted before it was stored.",
                    for_good=True,
                ) from None
            raise NotArchived(str(error), passes=error.passes) from None
        for recording in found.recordings:
            if recording.recall_recording_id == self.recall_recording_id:
                break
        else:
            raise NotArchived("Recall's answer does not contain the recording.")
        if recording.status != "done":
            raise NotArchived(
                f"Recall reports the recording as {recording.status}.",
                for_good=recording.status in ("failed", "deleted"),
            )
        return recording

    def links(self, medium: Medium, name: str) -> Iterator[str]:
        """Yield the links to a file: the known one, then a fresh one each time it is refused.

        Args:
            name: which of the medium's links.

        Raises:
            NotArchived: Recall has no fresh one.
            LeaseLost: the lease ended meanwhile.
        """
        media = [medium]
        while links := [m.links[name] for m in media if m.kind == medium.kind and name in m.links]:
            yield links[0]
            self._wait_for_turn()
            media = [*self.recording().media]
        raise NotArchived(f"Recall no longer has a link to its {medium.kind}.")

    def _wait_for_turn(self) -> None:
        self.lease.wait(self.turns.take_turn())
