"""A meeting's life in words, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import Reason, State
from rtms.dashboard.meetings.advice import advise, for_pages
from rtms.dashboard.meetings.answer_text import plain_text
from rtms.dashboard.meetings.media import downloads, gone, played, unplayed
from rtms.dashboard.meetings.moments import Moment
from rtms.dashboard.meetings.runs import run_of
from rtms.dashboard.meetings.timeline import timeline
from rtms.stream_gap import ChainRow, restarts

BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NOW = BEGAN + timedelta(days=1)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def a_row(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "event_ts": milliseconds(BEGAN),
        "state": "done",
        "reason": None,
        "recall_id": "recall-1",
        "superseded_by": None,
        "restarted_as": None,
        "last_error": None,
        "due_at": None,
        "connect_by": after(60),
        "leased_until": None,
        "taken_over_from": None,
        "product": "meeting",
        "status": "done",
        "received_at": after(0.3),
        "connected_at": after(1.3),
        "interrupted_at": None,
        "stopped_at": after(2400),
        "stop_reason": 6,
        **changes,
    }


NOT_CONNECTED = {"recall_id": None, "connected_at": None, "stopped_at": None, "stop_reason": None}


def an_event(id: int, verb: str, at: datetime, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "source": "zoom",
        "event": f"meeting.rtms_{verb}",
        "event_ts": milliseconds(at),
        "received_at": at + timedelta(seconds=0.3),
        "outcome": "accepted: to be connected",
        "sent_at": None,
        **changes,
    }


def an_attempt(at: datetime, outcome: str, error: str, wait: float | None) -> dict[str, Any]:
    then = None if wait is None else at + timedelta(seconds=wait)
    return {"at": at, "outcome": outcome, "error": error, "next_try_at": then}


def a_recording(**changes: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "status": "done",
        "sub_code": None,
        "started_at": after(2),
        "completed_at": after(2500),
        "expires_at": after(7 * 86400),
        "media": {"video_mixed": "done", "transcript": "done"},
        "archived_at": None,
        "archive_due_at": None,
        "archive_error": None,
        **changes,
    }


def words(moments: list[Moment]) -> list[str]:
    return [moment.what for moment in moments]


def test_a_meeting_that_went_well_is_told_in_order() -> None:
    moments = timeline(
        a_row(),
        events=[an_event(7, "started", BEGAN), an_event(8, "stopped", after(2400))],
        recordings=[a_recording()],
        now=NOW,
    )
    assert words(moments) == [
        "Zoom reported that the stream began",
        "Connected: Recall took the stream, 1.0 s later",
        "The stream stopped: the meeting ended (reason 6)",
        "The recording is ready",
        "Recall deletes the recording's media",
    ]
    assert [moment.event_id for moment in moments] == [7, None, 8, None, None]
    assert moments[1].detail == ""
    assert (moments[1].tone, moments[-1].tone) == ("good", "ahead")
    assert moments[3].said == ""
    assert moments[3].detail == "The video and the transcript are ready."


def test_tries_are_told_with_their_answers_and_the_next_wait() -> None:
    moments = timeline(
        a_row(connected_at=after(62.3)),
        attempts=[
            an_attempt(after(0.5), "rate_limited", "Recall answered 429: too many requests.", 20),
            an_attempt(after(21), "not_done", "Recall answered 507: no free worker.", 1.5),
            an_attempt(after(23), "unknown", "No answer from Recall: it did not answer.", 39),
        ],
        now=NOW,
    )
    assert words(moments)[1:5] == [
        "Recall's rate limit was reached: too many connects at once",
        "Recall could not connect the stream",
        "A try with an unknown outcome",
        "Connected: Recall took the stream, 62 s later",
    ]
    assert moments[2].detail == "Next try 1.5 s later."
    assert moments[2].said == "Recall answered 507: no free worker."
    assert moments[4].detail == "Zoom's window had closed 2.3 s before."
    row = a_row(taken_over_from="host:7:abc")
    assert "did not finish in time" in timeline(row, now=NOW)[1].detail


def test_a_refusal_is_the_end() -> None:
    error = "Recall answered 401: it does not know this key."
    row = a_row(state="failed", reason="refused", last_error=error, **NOT_CONNECTED)
    moments = timeline(row, attempts=[an_attempt(after(1), "refused", error, None)], now=NOW)
    assert words(moments)[1:] == [
        "Recall refused the stream",
        "Given up: refused by Recall",
    ]
    assert (moments[1].detail, moments[1].said) == ("It was the last try.", error)
    assert (moments[2].tone, moments[2].said) == ("bad", "")


@pytest.mark.parametrize(
    ("reason", "at"),
    [
        (Reason.REFUSED, None),
        (Reason.WINDOW_EXPIRED, after(60)),
        (Reason.RECALL_FAILED, None),
        (Reason.STOPPED_FIRST, after(9)),
        (Reason.UNSUPPORTED, after(0.3)),
        (Reason.NOT_WANTED, after(0.3)),
    ],
)
def test_where_no_try_was_written_down_the_end_is_told_all_the_same(
    reason: Reason, at: datetime | None
) -> None:
    state = "failed" if reason in ("refused", "window_expired", "recall_failed") else "skipped"
    row = a_row(**NOT_CONNECTED) | {
        "state": state, "reason": reason, "last_error": "the last word", "stopped_at": after(9),
    }  # fmt: skip
    ends = [each for each in timeline(row, now=NOW) if each.said == "the last word"]
    assert [(each.at, each.tone) for each in ends] == [
        (at, "bad" if state == "failed" else "plain")
    ]


@pytest.mark.parametrize("ours_is_ahead", [-75, 0, 75])
def test_how_late_a_delivery_was_is_said_by_zooms_clock(ours_is_ahead: int) -> None:
    def told_of(sent_after: timedelta) -> str:
        arrived_at = BEGAN + sent_after + timedelta(seconds=ours_is_ahead)
        start = an_event(1, "started", BEGAN, sent_at=BEGAN + sent_after, received_at=arrived_at)
        row = a_row(received_at=arrived_at, connected_at=arrived_at + timedelta(seconds=1))
        return timeline(row, events=[start], now=NOW)[0].detail

    assert told_of(timedelta(minutes=25)) == "Zoom sent this 25 min after it began."
    assert told_of(timedelta(seconds=1)) == ""


def test_what_happened_at_zoom_is_told_by_one_clock() -> None:
    ahead = timedelta(seconds=75)
    stop = an_event(2, "stopped", after(2400), sent_at=after(2401), received_at=after(2401) + ahead)
    moments = timeline(a_row(), events=[stop], now=NOW)
    assert [each.at for each in moments if "stopped" in each.what] == [after(2400) + ahead]


def test_only_a_narrow_escape_says_what_was_left_of_the_window() -> None:
    def told_of(seconds: float) -> str:
        return timeline(a_row(connected_at=after(seconds)), now=NOW)[1].detail

    assert told_of(0.31) == ""
    assert told_of(52) == "Zoom would have waited 8.0 s more."


def test_an_answer_to_a_request_is_shown_word_for_word() -> None:
    payload = {"event": "rtms.request_status", "payload": {"object": {"status": "den\u202eied"}}}
    said = an_event(9, "x", after(1), event="rtms.request_status", payload=payload)
    (told,) = [each for each in timeline(a_row(), events=[said], now=NOW) if each.body]
    assert told.what == "Zoom reported the answer to a request to start a stream"
    assert '"status": "den\\u202eied"' in told.body


def test_what_says_the_same_is_one_moment() -> None:
    copies = [
        an_event(n, "started", after(5), received_at=after(5 + n), outcome="duplicate: known")
        for n in range(1, 4)
    ]
    told = [each for each in timeline(a_row(), events=copies, now=NOW) if "again" in each.what]
    assert [(each.event_id, each.more_events) for each in told] == [(1, (2, 3))]


@pytest.mark.parametrize(
    ("product", "says"),
    [
        ("session", "a Video SDK session"),
        ("contact_center", "a Contact Center stream"),
        ("phone", "a Phone stream"),
    ],
)
def test_what_is_not_supported_is_named(product: str, says: str) -> None:
    row = a_row(state="skipped", reason=Reason.UNSUPPORTED, product=product, **NOT_CONNECTED)
    assert says in words(timeline(row, now=NOW))[-1]
    assert says in advise(row, NOW).what


def test_what_recall_answered_is_told_in_words() -> None:
    error = 'Recall answered 400. {"zoom_rtms": {"signature": ["This field is required."]}}'
    row = a_row(state="failed", reason="refused", last_error=error, **NOT_CONNECTED)
    moments = timeline(row, attempts=[an_attempt(after(1), "refused", error, None)], now=NOW)
    said = "Recall answered 400. zoom_rtms: signature: This field is required."
    assert moments[1].said == said
    assert for_pages(error) == said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('Recall answered 400. {"detail": "No {such} \\"region\\"."}', 'No {such} "region".'),
        ('Recall answered 400. {"a": [{"b": ["c", "d"]}, 7, null]}', "400. a: b: c; a: b: d; a: 7"),
        (
            'Recall answered 400. {"zoom_rtms": ["This field is requ',
            "zoom_rtms: This field is requ",
        ),
        ("<html><head><title>502 Bad Gateway</title></head><body>x</body></html>", "502 Bad"),
        (
            "503: <html><title>A</title></html> Try again in a minute.",
            "503: A Try again in a minute",
        ),
        ("Look at [the docs] and {braces}.", "Look at [the docs] and {braces}."),
    ],
)
def test_json_and_html_become_words(text: str, says: str) -> None:
    assert says in plain_text(text)
    assert '{"' not in plain_text(text)
    assert "<html" not in plain_text(text)


def test_connecting_at_recall_is_not_called_recording() -> None:
    assert "is joining it" in advise(a_row(state="connected", status="connecting"), NOW).what
    assert "is recording it" in advise(a_row(state="connected", status="recording"), NOW).what


def test_a_meeting_that_is_lost_is_not_advised_to_be_retried() -> None:
    lost = a_row(state="failed", reason="refused", recall_id=None, connected_at=None)
    old = lost | {"stopped_at": None, "stop_reason": None}
    for advice in (advise(lost, NOW), advise(old, NOW + timedelta(days=1))):
        assert "is over and was not recorded" in advice.todo
    again = advise(a_row(state="pending", recall_id=None, connected_at=None), NOW)
    assert "stream is over" in again.what


def test_faults_interruptions_copies_and_hints_are_told() -> None:
    row = a_row(interrupted_at=after(900), stop_reason=19)
    moments = timeline(
        row,
        events=[
            an_event(1, "started", BEGAN),
            an_event(
                2, "started", after(5), outcome="duplicate: meeting 1 already has this stream"
            ),
            an_event(3, "interrupted", after(600)),
            an_event(4, "interrupted", after(900)),
            an_event(5, "stopped", after(2400)),
            an_event(6, "x", after(2500), event="bot.done", source="recall", event_ts=None),
        ],
        now=NOW,
    )
    assert words(moments)[2:] == [
        "Zoom reported again that the stream began",
        "The stream was interrupted",
        "The stream was interrupted",
        "The stream stopped: waiting for a reconnection timed out (reason 19)",
        "Recall sent a webhook that this server does not know",
    ]
    assert moments[2].said == "meeting 1 already has this stream"
    assert moments[5].tone == "bad"
    pruned = timeline(row, now=NOW)
    assert words(pruned).count("The stream was interrupted") == 1


def test_a_failover_is_told_from_both_sides() -> None:
    older = timeline(
        a_row(superseded_by=2, state="ended"), successor_received_at=after(500), now=NOW
    )
    (moved,) = [moment for moment in older if moment.meeting_id == 2]
    assert (moved.at, "a newer connection replaced this one" in moved.what) == (
        after(500),
        True,
    )
    newer = timeline(a_row(id=2), replaces=1, now=NOW)
    assert [moment.meeting_id for moment in newer][:2] == [None, 1]


def test_what_lies_ahead_comes_last() -> None:
    now = after(2)
    row = a_row(state="pending", due_at=after(10), **NOT_CONNECTED)
    assert words(timeline(row, now=now))[1:] == ["The next try is due", "The window closes"]
    leased = timeline(row | {"leased_until": after(40)}, now=now)
    assert words(leased)[1:] == ["A try is in progress", "The window closes"]
    ended = a_row(state="ended", due_at=after(2600))
    assert words(timeline(ended, now=after(2500)))[-1] == "Recall will be asked for the status"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "failed", "sub_code": "no_media"}, "The recording failed"),
        ({"status": "deleted"}, "The recording was deleted at Recall"),
        ({"status": "processing", "completed_at": None}, "A recording is in progress"),
        ({"expires_at": after(3600)}, "The recording expired at Recall: its media "
         "are deleted"),
        ({"archived_at": after(2600)}, "The recording was stored under ARCHIVE_URL"),
        ({"archive_error": "disk full", "archive_due_at": NOW}, "The recording: not stored yet"),
        ({"archive_error": "x"}, "The recording: not stored, and not tried again"),
    ],
)  # fmt: skip
def test_recordings_are_told_to_their_ends(changes: dict[str, Any], says: str) -> None:
    assert says in words(timeline(a_row(), recordings=[a_recording(**changes)], now=NOW))


def test_a_streams_events_belong_to_the_run_in_which_they_happened() -> None:
    first, second = a_row(), a_row(id=2, event_ts=milliseconds(after(3000)))
    second["received_at"] = after(3000.3)
    events = [
        an_event(1, "stopped", after(-5)),
        an_event(2, "started", BEGAN),
        an_event(3, "started", after(3000)),
        an_event(4, "stopped", after(2400), received_at=after(3600)),
        an_event(5, "x", after(3700), source="recall", event_ts=None),
    ]
    both = [first, second]
    assert [each["id"] for each in run_of(first, both, events)] == [1, 2, 4]
    assert [each["id"] for each in run_of(second, both, events)] == [3, 5]


@pytest.mark.parametrize("state", [each for each in State if each not in ("failed", "skipped")])
def test_every_state_has_advice(state: State) -> None:
    assert advise(a_row(state=state), NOW).what


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_advice_without_commands(reason: Reason) -> None:
    advice = advise(a_row(state="failed", reason=reason), NOW)
    assert "flask" not in advice.what + advice.todo
    assert advice.todo


def test_advice_for_what_zoom_ended() -> None:
    wrong = advise(a_row(stop_reason=18, state="ended"), NOW)
    assert "ZOOM_CLIENT_SECRET is wrong" in wrong.todo
    assert wrong.tone == "bad"
    assert "Recall's support" in advise(a_row(stop_reason=11, state="ended"), NOW).todo
    never = a_row(stop_reason=11, state="failed", reason="window_expired", recall_id=None)
    assert "The meeting is over" in advise(never, NOW).todo
    assert "use Retry" in advise({**never, "stopped_at": None, "stop_reason": None}, after(60)).todo
    assert "Something broke" in advise(a_row(stop_reason=19, state="ended"), NOW).todo
    assert "its recording is ready" in advise(a_row(), NOW, plays=True).what
    assert "failed over" in advise(a_row(state="ended", superseded_by=4), NOW).what


@pytest.mark.parametrize("reason", [Reason.WINDOW_EXPIRED, Reason.REFUSED, Reason.RECALL_FAILED])
def test_advice_for_a_stream_that_was_started_again(reason: Reason) -> None:
    lost = a_row(**NOT_CONNECTED | {"state": "failed", "reason": reason, "restarted_as": 2})
    assert advise(lost, NOW).todo == "Nothing to do here: meeting 2 has the rest."
    first, second = (
        ChainRow(id=id, state="failed", event_ts=0, connected_at=None, stopped_at=None)
        for id in (1, 2)
    )
    both = advise(lost, NOW, restarts=restarts([first, second], 1))
    assert "meeting 2, which failed too" in both.what
    assert (both.todo[:13], both.tone) == ("See meeting 2", "bad")
    assert "The rest is in meeting 2" in advise(a_row(restarted_as=2), NOW, plays=True).what


def test_commands_become_buttons() -> None:
    text = (
        "No recording of meeting 7 yet. `flask meetings refresh 7` asks. Look at `RECALL_REGION`."
    )
    assert for_pages(text) == (
        "No recording of meeting 7 yet. Refresh asks. Look at `RECALL_REGION`."
    )


def test_what_a_recording_offers() -> None:
    recording = a_recording(
        media={
            "meeting_metadata": "done", "hologram": "done", "transcript": "done",
            "audio_mixed": "done", "participant_events": "done", "video_mixed": "processing",
        }
    )  # fmt: skip
    assert played(recording) == "audio_mixed"
    assert [(each.kind, each.link) for each in downloads(recording)] == [
        ("audio_mixed", None),
        ("transcript", None),
        ("participant_events", "participants_download_url"),
        ("participant_events", "participant_events_download_url"),
        ("participant_events", "speaker_timeline_download_url"),
        ("hologram", None),
    ]
    assert played(a_recording(media={})) is None
    assert "RECORDING_CONFIG asks for none" in unplayed(a_recording(media={}))
    assert "still processing" in unplayed(a_recording(status="processing", media={}))
    assert "failed at Recall" in unplayed(a_recording(status="failed", media={}))
    assert gone(a_recording(), NOW) is None
    assert "2026-03-08 09:00 UTC" in str(gone(a_recording(), after(7 * 86400)))
    assert "deleted" in str(gone(a_recording(status="deleted"), NOW))
