"""The dashboard's page of one meeting: its life, its buttons, its recording and its transcript."""

from __future__ import annotations

import io
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import requests
import sqlalchemy as sa
import srt
import webvtt

from models import ATTEMPTS, CONNECTS, RECORDINGS, STREAM_REQUESTS
from rtms import clock
from rtms.dashboard.meetings import recall_lookup
from rtms.recordings.transcripts import read_parts
from rtms.recordings.utterances import Part, Word
from rtms.services import Services
from sandbox import Fault, RecallSandbox, Stream, events
from tests.dashboard import PASSWORD
from tests.databases import on_one_engine
from tests.integration.conftest import Rows, Zoom, wait_for
from tests.integration.test_dashboard_meetings import DAY, Browser, browser, put
from tests.integration.test_restart_chain import restarted

__all__ = ["browser"]
pytestmark = pytest.mark.environ(ADMIN_PASSWORD=PASSWORD)

S2S = {f"ZOOM_S2S_{name}": "x" for name in ("ACCOUNT_ID", "CLIENT_ID", "CLIENT_SECRET")}
FAILED = {
    "state": "failed",
    "reason": "window_expired",
    "recall_id": None,
    "status": None,
    "connected_at": None,
    "stopped_at": None,
    "last_error": "Recall answered 507: it has no free worker at the moment.",
}


@pytest.fixture
def meeting(
    recall: RecallSandbox, zoom: Zoom, services: Services, rows: Rows, browser: Browser
) -> Stream:
    """A meeting, numbered 1, that is over and recorded, and whose row knows."""
    dispatcher = services.start_dispatcher()
    recall.set(processing_seconds=0.0)
    stream = Stream(meeting_id=98765432100)
    zoom.deliver(events.started(stream))
    wait_for(lambda: rows.meeting().state == "connected")
    dispatcher.drain(timeout=10)
    recall.end_stream(stream.rtms_stream_id)
    zoom.deliver(events.stopped(stream))
    said = browser.notice(browser.press("/meetings/1", "/meetings/1/refresh"))
    assert said == "Recall was asked. Its answer is below."
    return stream


def told(html: str) -> list[str]:
    """The timeline's sentences."""
    return [unescape(each) for each in re.findall(r"<div><strong>(.*?)</strong>", html, re.DOTALL)]


def change(services: Services, table: sa.Table, **values: Any) -> None:
    services.database.write(lambda connection: connection.execute(table.update().values(values)))


def test_unknown_meetings_are_not_found(browser: Browser) -> None:
    assert "There is no meeting 7" in browser.get("/meetings/7", status=404)
    assert "There is no meeting 7" in browser.get("/meetings/7/transcript", status=404)
    assert "There is no recording 7" in browser.get("/recordings/7/video_mixed", status=404)
    assert "There is no recording 7" in browser.get("/recordings/7/transcript.vtt", status=404)
    for path in ("/meetings/99999999999999999999", "/meetings/x", "/recordings/1/transcript.exe"):
        browser.get(path, status=404)


def test_the_page_tells_the_meetings_life(meeting: Stream, browser: Browser) -> None:
    html = browser.get("/meetings/1")
    sentences = told(html)
    assert sentences[0] == "Zoom reported that the stream began"
    assert sentences[1].startswith("Connected: Recall took the stream, ")
    assert "The stream stopped: the meeting ended (reason 6)" in sentences
    assert "The recording is ready" in sentences
    assert sentences[-1] == "Recall deletes the recording's media"
    assert 'href="/events/1"' in html
    assert 'href="/events/2"' in html
    assert f'<dd class="mono"><bdi>{meeting.rtms_stream_id}</bdi>' in html
    assert "98765432100" in html


def test_the_page_of_a_meeting_does_not_ask_recall(
    meeting: Stream, browser: Browser, recall: RecallSandbox
) -> None:
    before = len(recall.ledger)
    browser.get("/meetings/1")
    assert len(recall.ledger) == before


def test_a_failed_meeting_says_why_and_what_to_do(browser: Browser, services: Services) -> None:
    now = clock.now()
    put(services, FAILED | {"received_at": now, "connect_by": now + timedelta(seconds=60)})
    attempt = {
        "meeting_direct_connect_id": 1,
        "at": now + timedelta(seconds=2),
        "outcome": "not_done",
        "error": "Recall answered 507: <it> has no free worker.",
        "next_try_at": now + timedelta(seconds=5),
    }
    services.database.write(lambda connection: connection.execute(ATTEMPTS.insert(), attempt))
    html = browser.get("/meetings/1")
    assert "use Retry at once" in html
    assert "flask" not in html
    assert '<h2 id="error-head">The error</h2>' in html
    assert str(FAILED["last_error"]) in html
    assert "Recall could not connect the stream" in told(html)
    assert "Recall answered 507: &lt;it&gt; has no free worker." in html
    assert "Next try 3.0 s later." in html


def test_other_runs_of_the_stream_are_linked_and_kept_apart(
    browser: Browser, zoom: Zoom, rows: Rows
) -> None:
    stream = Stream()
    now = int(time.time() * 1000)
    zoom.deliver(events.started(stream, event_ts=now - 20_000))
    zoom.deliver(events.stopped(stream, reason=3, event_ts=now - 10_000))
    zoom.deliver(events.started(stream, event_ts=now - 5_000))
    first, second = (browser.get(f"/meetings/{id}") for id in (1, 2))
    assert 'href="/meetings/2">meeting 2</a>' in first
    assert 'href="/meetings/1">meeting 1</a>' in second
    assert any("the app's user left (reason 3)" in each for each in told(first))
    assert not any("stopped" in each for each in told(second))
    assert 'href="/events/2"' in first
    assert 'href="/events/2"' not in second


def test_a_failover_links_both_rows(browser: Browser, zoom: Zoom, rows: Rows) -> None:
    stream = Stream()
    zoom.deliver(events.started(stream))
    zoom.deliver(events.started(stream.moved()))
    first, second = (browser.get(f"/meetings/{id}") for id in (1, 2))
    assert any("a newer connection replaced this one" in each for each in told(first))
    assert any("this connection replaces an older one" in each for each in told(second))


def test_a_restart_links_both_rows(browser: Browser, services: Services) -> None:
    lost_at = DAY + timedelta(minutes=2, seconds=11)
    put(
        services,
        FAILED | {"connected_at": DAY, "stopped_at": lost_at, "stop_reason": 13},
        {"state": "connected", "stopped_at": None, "connected_at": lost_at + timedelta(seconds=14)},
    )
    restarted(services, (1, 2))
    first, second, listed = (
        browser.get(path) for path in ("/meetings/1", "/meetings/2", "/meetings")
    )
    to_first, to_second = (f'<a href="/meetings/{id}">meeting {id}</a>' for id in (1, 2))
    assert f"Lost at 00:02:11 UTC; goes on in {to_second} after a gap of 14 seconds." in first
    assert "Nothing to do here: meeting 2 has the rest." in first
    assert "/meetings/1/retry" not in first
    assert "The recording goes on in another stream" in told(first)
    assert f"Goes on from {to_first} after a gap of 14 seconds." in second
    assert "This stream was started in place of a lost one" in told(second)
    assert f"Restarted as {to_second}" in listed
    assert f"Goes on from {to_first}" in listed
    change(services, CONNECTS, **FAILED)
    first = browser.get("/meetings/1")
    assert f"{to_second} was to go on, but failed too." in first
    assert "The stream was started again, which failed too" in told(first)


def test_retry_puts_a_failed_meeting_back(browser: Browser, services: Services, rows: Rows) -> None:
    put(services, FAILED)
    notice = browser.notice(browser.press("/meetings/1", "/meetings/1/retry"))
    assert notice.startswith("Meeting 1 is pending again")
    row = rows.meeting()
    assert (row.state, row.reason) == ("pending", None)
    assert row.connect_by > clock.now()
    assert "/meetings/1/retry" not in browser.get("/meetings/1")
    answer = browser.post("/meetings/1/retry", page="/meetings/1")
    assert "only failed meetings can be retried" in browser.notice(answer)
    missing = browser.post("/meetings/9/retry", page="/meetings/1")
    assert missing.status_code == 404


def test_retry_wakes_the_dispatcher(
    browser: Browser, services: Services, rows: Rows, recall: RecallSandbox
) -> None:
    put(services, FAILED)
    services.start_dispatcher()
    browser.press("/meetings/1", "/meetings/1/retry")
    row = wait_for(lambda: (row := rows.meeting()).state == "connected" and row)
    assert row.recall_id == recall.connections[0].id


@pytest.mark.environ(ADMIN_PASSWORD=PASSWORD, **S2S, RESTART_STREAMS="off")
def test_the_rest_is_recorded_where_a_retry_could_not_help(
    browser: Browser, services: Services, rows: Rows
) -> None:
    put(services, FAILED | {"received_at": clock.now()})
    page = browser.get("/meetings/1")
    assert "/meetings/1/restart" in page
    assert "/meetings/1/retry" in page
    change(services, CONNECTS, stopped_at=clock.now(), stop_reason=11)
    assert "/meetings/1/retry" not in browser.get("/meetings/1")
    notice = browser.notice(browser.press("/meetings/1", "/meetings/1/restart"))
    assert notice.startswith("Zoom is asked for a new stream")
    with services.database.read() as connection:
        (request,) = connection.execute(sa.select(STREAM_REQUESTS))
    assert (request.state, request.cause, request.replaces) == ("waiting", "by_hand", 1)
    page = browser.get("/meetings/1")
    assert "This server asks Zoom for a new stream" in told(page)
    change(
        services, STREAM_REQUESTS, state="refused", due_at=None, last_error="no <b>pack</b>: 2310"
    )
    page = browser.get("/meetings/1")
    assert "Zoom refused to start a new stream" in told(page)
    assert "no &lt;b&gt;pack" in page
    change(services, CONNECTS, state="pending", reason=None, stopped_at=None)
    assert "/meetings/1/restart" not in browser.get("/meetings/1")
    answer = browser.post("/meetings/1/restart", page="/meetings/1")
    assert "its stream is live" in browser.notice(answer)


def test_nothing_can_be_restarted_without_the_server_to_server_app(
    browser: Browser, services: Services
) -> None:
    put(services, FAILED)
    assert "/meetings/1/restart" not in browser.get("/meetings/1")
    answer = browser.post("/meetings/1/restart", page="/meetings/1")
    assert "ZOOM_S2S settings are not set" in browser.notice(answer)


def test_buttons_are_taken_from_their_page_only(
    browser: Browser, services: Services, rows: Rows
) -> None:
    put(services, FAILED | {"recall_id": "x"})
    for action in ("retry", "restart", "refresh"):
        assert browser.client.post(f"/meetings/1/{action}").status_code == 403
        assert browser.client.get(f"/meetings/1/{action}").status_code == 405
    assert rows.meeting().state == "failed"


def test_refresh_says_what_went_wrong(
    meeting: Stream, browser: Browser, services: Services, recall: RecallSandbox, rows: Rows
) -> None:
    recall.add_fault(Fault(kind="status", status=503, method="GET", path="retrieve", times=None))
    notice = browser.notice(browser.press("/meetings/1", "/meetings/1/refresh"))
    assert notice.startswith("Meeting 1 was not refreshed. Recall answered 503")
    assert "Recall answered 503" in rows.meeting().last_error
    put(services, FAILED)
    answer = browser.post("/meetings/2/refresh", page="/meetings/2")
    assert "was never connected" in browser.notice(answer)


def test_the_video_is_led_to_by_a_fresh_link_that_is_nowhere_else(
    meeting: Stream,
    browser: Browser,
    recall: RecallSandbox,
    services: Services,
    rows: Rows,
    caplog: Any,
) -> None:
    html = browser.get("/meetings/1")
    assert re.search(r'<video controls preload="metadata" src="/recordings/1/video_mixed"', html)
    answer = browser.client.get("/recordings/1/video_mixed")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (302, "no-store")
    # Both keep the address of the page from the other side.
    assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
    link = answer.headers["Location"]
    assert requests.get(link, timeout=5).headers["Content-Type"] == "video/mp4"
    assert "signature" not in answer.text
    recall.expire_links()
    again = browser.client.get("/recordings/1/video_mixed").headers["Location"]
    assert requests.get(again, timeout=5).status_code == 200
    pages = "".join(browser.get(each) for each in ("/meetings/1", "/meetings/1/transcript"))
    with services.database.read() as connection:
        kept = str(connection.execute(sa.select(RECORDINGS)).all())
    assert "signature=" not in pages + kept + str(rows.meetings()) + caplog.text
    assert why(browser)["to_be_had"] is True


def test_every_medium_can_be_downloaded(meeting: Stream, browser: Browser) -> None:
    html = browser.get("/meetings/1")
    files = {unescape(each) for each in re.findall(r'href="(/recordings/1/[^"]*)"', html)}
    assert files == {
        "/recordings/1/video_mixed",
        "/recordings/1/transcript",
        "/recordings/1/participant_events?link=participants_download_url",
        "/recordings/1/participant_events?link=participant_events_download_url",
        "/recordings/1/participant_events?link=speaker_timeline_download_url",
        *(f"/recordings/1/transcript.{format}" for format in ("vtt", "srt", "txt")),
    }
    for file in files:
        answer = browser.client.get(file)
        status = answer.status_code
        if status == 302:
            status = requests.get(answer.headers["Location"], timeout=5).status_code
        assert status == 200, file


def test_captions_are_ones_that_players_read(meeting: Stream, browser: Browser) -> None:
    vtt = browser.client.get("/recordings/1/transcript.vtt")
    assert vtt.headers["Content-Type"].startswith("text/vtt")
    assert "attachment" in vtt.headers["Content-Disposition"]
    assert len(webvtt.from_buffer(io.StringIO(vtt.text)).captions) > 1
    inline = browser.client.get("/recordings/1/transcript.vtt?inline=1")
    assert "Content-Disposition" not in inline.headers
    assert len(list(srt.parse(browser.get("/recordings/1/transcript.srt")))) > 1
    assert "Ada Lovelace: Good morning" in browser.get("/recordings/1/transcript.txt")


def test_the_transcript_is_a_page_whose_times_lead_into_the_video(
    meeting: Stream, browser: Browser
) -> None:
    html = browser.get("/meetings/1/transcript")
    assert '<bdi class="turn-speaker">Ada Lovelace</bdi>' in html
    assert '<bdi class="turn-speaker">Speaker 1</bdi>' in html
    assert "Good morning, everyone. Shall we begin?" in html
    assert 'data-start="0.400"' in html
    assert 'href="/recordings/1/video_mixed#t=0.4"' in html
    assert "Good morning" in browser.get("/meetings/1/transcript?recording=1")
    assert "no such recording" in browser.get("/meetings/1/transcript?recording=2", status=404)
    assert 'data-transcript="/meetings/1/transcript?recording=1"' in browser.get("/meetings/1")


def test_one_entry_a_participant_is_a_conversation_on_every_page(
    meeting: Stream, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(id: int, name: str, *said: tuple[str, int]) -> dict[str, Any]:
        words = [{"text": text, "start_timestamp": {"relative": at}} for text, at in said]
        return {"participant": {"id": id, "name": name}, "words": words}

    ada = entry(1, "Ada", ("Shall we", 1), ("start", 2), ("?", 2), ("Thanks", 60), (".", 60))
    bob = entry(2, "Bob\u3000Bo\u202e", ("Yes", 4), (",", 4), ("please", 5), (".", 5))
    parts = read_parts([ada, bob])  # the stand-in has one transcript, and another story
    monkeypatch.setattr("rtms.recordings.library.Recordings.transcript", lambda *_: parts)

    told = [("Ada", "Shall we start?"), ("Bob Bo", "Yes, please."), ("Ada", "Thanks.")]
    page = browser.get("/meetings/1/transcript")
    turns = re.findall(r'turn-speaker">(.*?)</bdi>.*?<p dir="auto">(.*?)</p>', page, re.DOTALL)
    assert turns == told
    subtitles = srt.parse(browser.get("/recordings/1/transcript.srt"))
    assert [caption.content for caption in subtitles] == [f"{who}: {text}" for who, text in told]
    captions = webvtt.from_string(browser.get("/recordings/1/transcript.vtt")).captions
    assert [(caption.voice, caption.text) for caption in captions] == told


MEDIUM_PAGES = (
    "/recordings/1/video_mixed",
    "/meetings/1/transcript",
    "/recordings/1/transcript.vtt",
)


def why(browser: Browser) -> dict[str, Any]:
    said = browser.client.get("/recordings/1/video_mixed/why").json
    assert isinstance(said, dict)
    return said


def test_an_expired_recording_is_gone(
    meeting: Stream, browser: Browser, services: Services, recall: RecallSandbox
) -> None:
    change(services, RECORDINGS, expires_at=clock.now() - timedelta(hours=1), archived_at=DAY)
    before = len(recall.ledger)
    for path in MEDIUM_PAGES:
        assert "has deleted its media" in browser.get(path, status=410)
    assert why(browser)["to_be_had"] is False
    assert "has deleted its media" in why(browser)["words"]
    html = browser.get("/meetings/1")
    assert "<video" not in html
    assert "has deleted its media" in html
    assert "It was stored under ARCHIVE_URL before." in html
    assert len(recall.ledger) == before


def test_a_deleted_recording_is_gone(meeting: Stream, browser: Browser, services: Services) -> None:
    change(services, RECORDINGS, status="deleted")
    assert "deleted at Recall" in browser.get("/recordings/1/video_mixed", status=410)
    assert "<video" not in browser.get("/meetings/1")


def test_where_recall_does_not_answer_the_pages_say_so(
    meeting: Stream, browser: Browser, recall: RecallSandbox
) -> None:
    recall.add_fault(Fault(kind="status", status=503, method="GET", path="retrieve", times=None))
    for path in MEDIUM_PAGES:
        html = browser.get(path, status=502)
        assert "Recall answered 503" in html
        assert "Try again in a minute." in html
    assert "Recall answered 503" in why(browser)["words"]
    assert "<video" in browser.get("/meetings/1")


@pytest.mark.slow
@on_one_engine
def test_a_recall_that_hangs_is_given_up_before_the_request_is_cut_off(
    meeting: Stream, browser: Browser, recall: RecallSandbox
) -> None:
    recall.add_fault(Fault(kind="hang", method="GET", path="retrieve", times=None))
    began = time.monotonic()
    assert "it did not answer in time" in browser.get("/recordings/1/video_mixed", status=502)
    assert time.monotonic() - began < 4


@pytest.mark.slow
@on_one_engine
@pytest.mark.parametrize("kind", ["hang", "drip", "status"])
def test_storage_that_does_not_give_the_transcript_holds_no_request(
    meeting: Stream,
    browser: Browser,
    recall: RecallSandbox,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert recall_lookup._TOTAL_TIMEOUT < 5.0  # REQUEST_SECONDS of gunicorn.conf.py
    monkeypatch.setattr(recall_lookup, "_TOTAL_TIMEOUT", 1.0)
    recall.add_fault(
        Fault(
            kind=kind,
            method="GET",
            path="media",
            times=None,
            status=503 if kind == "status" else None,
        )
    )
    for path in MEDIUM_PAGES[1:]:
        began = time.monotonic()
        assert "Try again in a minute" in browser.get(path, status=502)
        assert time.monotonic() - began < 5.0
    wait_for(lambda: not asking_threads())  # nobody downloads on


@pytest.mark.slow
@on_one_engine
def test_only_so_many_pages_ask_recall_at_once(
    meeting: Stream, browser: Browser, recall: RecallSandbox
) -> None:
    recall.add_fault(Fault(kind="drip", method="GET", path="media", times=None))

    cookie = browser.client.get_cookie("rtms_session")
    assert cookie is not None
    value = cookie.value

    def get(_: int) -> tuple[int, str]:
        client = browser.client.application.test_client()
        client.set_cookie("rtms_session", value)
        answer = client.get("/meetings/1/transcript")
        return answer.status_code, answer.text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(get, range(8)))
    assert sorted(status for status, _ in answers) == [502] * 4 + [503] * 4
    assert all("already asking Recall" in page for status, page in answers if status == 503)
    wait_for(lambda: not asking_threads())
    recall.clear_faults()
    assert "Good morning" in browser.get("/meetings/1/transcript")


def asking_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "asking"]


def test_what_is_announced_too_large_for_a_transcript_is_not_downloaded(
    meeting: Stream, browser: Browser, recall: RecallSandbox
) -> None:
    announced = {"Content-Length": str(3 * 10**9)}
    recall.add_fault(
        Fault(kind="headers", method="GET", path="media", times=None, headers=announced)
    )
    began = time.monotonic()
    assert "is too large" in browser.get("/meetings/1/transcript", status=404)
    assert time.monotonic() - began < 2.0  # the rest, which never comes, is not waited for


def test_what_comes_too_large_for_a_transcript_is_stopped(
    meeting: Stream, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced, because the stand-in has one transcript, and a short one."""
    monkeypatch.setattr("rtms.recordings.library._MAX_TRANSCRIPT", 100)
    for path in MEDIUM_PAGES[1:]:
        assert "is too large" in browser.get(path, status=404)


def test_a_transcript_too_long_for_a_page_can_be_downloaded(
    meeting: Stream, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced, because the stand-in has one transcript, and writing a long one takes time."""
    monkeypatch.setattr("rtms.dashboard.meetings.recall_lookup._MAX_WORDS", 1_000)
    word = Word(text="so", start=None, end=None)
    parts = [Part(participant="1", speaker="Ada", words=(word,) * 1_001)]
    monkeypatch.setattr("rtms.recordings.library.Recordings.transcript", lambda *_: parts)
    page = browser.get("/meetings/1/transcript", status=413)
    assert "has 1,001 words, too many for a page" in page
    assert browser.get("/recordings/1/transcript.txt").count("so") == 1_001


def test_what_recall_no_longer_has_is_said(
    meeting: Stream, browser: Browser, recall: RecallSandbox
) -> None:
    recall.add_fault(Fault(kind="status", status=404, method="GET", path="retrieve", times=None))
    for path in MEDIUM_PAGES:
        assert "Recall no longer has meeting 1" in browser.get(path, status=404)


def test_what_is_processing_or_was_never_made_is_said(
    meeting: Stream, browser: Browser, services: Services, recall: RecallSandbox
) -> None:
    assert "has no holograms" in browser.get("/recordings/1/holograms", status=404)
    change(services, RECORDINGS, status="processing", media={"video_mixed": "processing"})
    html = browser.get("/meetings/1")
    assert "Recall is still processing the recording" in html
    assert "<video" not in html
    change(services, RECORDINGS, status="done", media={})
    assert "neither video nor audio" in browser.get("/meetings/1")


def test_only_sound_is_played_as_sound(
    meeting: Stream, browser: Browser, services: Services
) -> None:
    change(services, RECORDINGS, media={"audio_mixed": "done"})
    html = browser.get("/meetings/1")
    assert '<audio controls preload="metadata" src="/recordings/1/audio_mixed"' in html
    assert "<video" not in html


@on_one_engine
@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "http://elsewhere.example/x", "//elsewhere.example", "https://a@b/"],
)
def test_a_link_that_leads_astray_is_not_passed_on(
    meeting: Stream, browser: Browser, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    """Forced, because the stand-in makes sound links only."""
    monkeypatch.setattr("rtms.recordings.library.Recordings.link", lambda *_: link)
    answer = browser.client.get("/recordings/1/video_mixed")
    assert (answer.status_code, "that is not safe" in answer.text) == (502, True)
    assert "Location" not in answer.headers


def test_hostile_names_and_words_of_a_transcript_are_text(
    meeting: Stream, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced, because the stand-in has one transcript."""
    from rtms.recordings.transcripts import read_parts

    said = {"text": "<script>alert(1)</script>", "start_timestamp": {"relative": 3661}}
    parts = read_parts([{"participant": {"id": 1, "name": "<b>Eve\u202e"}, "words": [said]}])
    monkeypatch.setattr("rtms.recordings.library.Recordings.transcript", lambda *_: parts)
    html = browser.get("/meetings/1/transcript")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>" not in html
    assert "1:01:01" in html


def test_recordings_of_other_connections_are_not_mixed_up(
    meeting: Stream, browser: Browser, services: Services
) -> None:
    """A row that names another recording than those Recall has of its meeting leads nowhere."""
    change(services, RECORDINGS, recall_recording_id="another")
    page = browser.get("/recordings/1/video_mixed", status=404)
    assert "Recall no longer has a link to video" in page


def test_pages_say_when_the_stop_reason_asks_for_something(
    browser: Browser, services: Services
) -> None:
    put(services, {"state": "ended", "stop_reason": 18}, {"state": "ended", "stop_reason": 11})
    assert "ZOOM_CLIENT_SECRET is wrong" in browser.get("/meetings/1")
    assert "Ask Recall&#39;s support" in browser.get("/meetings/2")
    change(services, CONNECTS, stop_reason=6)
    assert "Recall is asked again and again" in browser.get("/meetings/1")
