"""The judge of every test here: what was acknowledged is connected exactly once, and in time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sandbox import RecallSandbox
from tests.servers import Server

WINDOW = 60.0  # seconds from a stream's start (Zoom: connect window)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The streams that were not treated as they must be; each list is empty when all is well."""

    lost: list[str]  # acknowledged, and never connected
    doubled: list[str]  # connected more than once, acknowledged or not
    late: list[str]  # acknowledged, and connected after the window
    misrecorded: list[str]  # acknowledged, and the table does not have Recall's id for it

    def __bool__(self) -> bool:
        """Whether all is well."""
        return not any(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        told = ((field.name, getattr(self, field.name)) for field in fields(self))
        return "\n".join(
            f"{len(which)} {name}: {', '.join(which)}" for name, which in told if which
        )


def assert_acknowledged_is_connected_once(
    server: Server,
    recall: RecallSandbox,
    acknowledged: Mapping[str, float],
    *,
    patience: float = WINDOW,
) -> None:
    """Wait until nothing is under way any more, for so many seconds at most; then hold the stand-in
    Recall's ledger, and the table, against what the client saw acknowledged."""
    assert acknowledged, "nothing was acknowledged, so there is nothing to judge"
    give_up_at = time.monotonic() + patience
    while True:
        rows = server.meetings()
        at_work = any(row["state"] == "pending" for row in rows)
        at_work = at_work or any(entry.answered_at is None for entry in recall.ledger)
        if not at_work or time.monotonic() > give_up_at:
            break
        time.sleep(0.2)
    verdict = judge(recall.summary(), rows, acknowledged)
    unlike = {row["rtms_stream_id"]: row for row in rows if row["state"] != "connected"}
    assert verdict, f"{verdict}\n\nThe rows that are not connected:\n{_told(unlike)}"


def assert_was_only_refusing(server: Server, statuses: Iterable[int | None]) -> None:
    """For trouble in which nothing could be stored: there were refusals that Zoom repeats, no other
    mistake, and the server is ready again."""
    assert set(statuses) == {200, 503}
    assert server.get("/readyz") == 200
    assert "Traceback" not in server.log()


def judge(
    summary: Mapping[str, Mapping[str, Any]],
    rows: list[dict[str, Any]],
    acknowledged: Mapping[str, float],
) -> Verdict:
    """Compare what Recall's ledger, the table and the client say of each stream."""
    made = {stream: told["created"] for stream, told in summary.items()}
    ids = {(row["rtms_stream_id"], row["recall_id"]) for row in rows if row["state"] == "connected"}
    connected = [stream for stream in acknowledged if made.get(stream)]
    return Verdict(
        lost=[stream for stream in acknowledged if not made.get(stream)],
        doubled=[stream for stream, times in made.items() if times > 1],
        late=[
            stream
            for stream in connected
            if summary[stream]["first_created"] > acknowledged[stream] + WINDOW
        ],
        misrecorded=[
            stream
            for stream in connected
            if (stream, summary[stream]["connection_ids"][-1]) not in ids
        ],
    )


def _told(rows: Mapping[str, Mapping[str, Any]]) -> str:
    shown = ("state", "reason", "attempts", "due_at", "connect_by", "leased_until", "last_error")
    return "\n".join(
        f"{stream}: {', '.join(f'{name}={row.get(name)}' for name in shown)}"
        for stream, row in rows.items()
    )
