"""Recordings appear after the stream's end, behind links that expire; webhooks say so."""

import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from sandbox import RecallSandbox
from sandbox.media import FOLDER, synthetic

PATH = "/api/v1/meeting_direct_connect"
AUTH = {"Authorization": "Token sandbox-key"}
SECRET = "whsec_c2FuZGJveCBzZWNyZXQgb2YgMzIgYnl0ZXMgb3Igc28="


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client without the key, as pre-signed links want it."""
    with requests.Session() as session:
        yield session


def retrieve(
    recall: RecallSandbox,
    session: requests.Session,
    recording_config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Connect stream "s" unless that was done, and return the connection as Recall shows it."""
    if not recall.connections:
        rtms = dict.fromkeys(("meeting_uuid", "server_urls", "signature"), "x")
        body = {
            "zoom_rtms": rtms | {"rtms_stream_id": "s"},
            "recording_config": {**(recording_config or {}), "metadata": {"row": "7"}},
        }
        session.post(recall.url + PATH, json=body, headers=AUTH, timeout=30)
    url = f"{recall.url}{PATH}/{recall.connections[0].id}"
    value: dict[str, Any] = session.get(url, headers=AUTH, timeout=30).json()
    return value


def video_link(recall: RecallSandbox, session: requests.Session) -> str:
    """Return a fresh link to the video of an ended stream."""
    retrieve(recall, session)
    recall.end_stream("s")
    shortcuts = retrieve(recall, session)["recordings"][0]["media_shortcuts"]
    url: str = shortcuts["video_mixed"]["data"]["download_url"]
    return url


def test_a_recording_is_processed_and_then_done(session: requests.Session) -> None:
    with RecallSandbox(processing_seconds=3600) as recall:
        assert retrieve(recall, session)["recordings"] == []
        assert recall.end_stream("s")
        (recording,) = retrieve(recall, session)["recordings"]
        assert recording["status"]["code"] == "processing"
        assert recording["media_shortcuts"] is None
    with RecallSandbox(processing_seconds=0) as recall:
        retrieve(recall, session)
        recall.end_stream("s")
        (recording,) = retrieve(recall, session)["recordings"]
        assert recording["status"]["code"] == "done"
        assert recording["metadata"] == {"row": "7"}
        shortcuts = recording["media_shortcuts"]
        assert shortcuts["audio_mixed"] is None
        transcript = session.get(shortcuts["transcript"]["data"]["download_url"], timeout=30)
        assert transcript.json()[1]["participant"]["name"] is None
        events = shortcuts["participant_events"]["data"]
        assert all(session.get(url, timeout=30).json() for url in events.values())


def test_the_recordings_are_of_a_meeting_with_a_name(session: requests.Session) -> None:
    def title(recall: RecallSandbox) -> str:
        retrieve(recall, session)
        recall.end_stream("s")
        (recording,) = retrieve(recall, session)["recordings"]
        told: str = recording["media_shortcuts"]["meeting_metadata"]["data"]["title"]
        return told

    with RecallSandbox(processing_seconds=0) as recall:
        assert title(recall) == "Weekly sync"
    with RecallSandbox(processing_seconds=0) as recall:
        recall.name_meeting("x", "設計レビュー")
        assert title(recall) == "設計レビュー"


def test_the_media_belong_together_and_are_small() -> None:
    def read(name: str) -> Any:
        return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))

    said = [(each["participant"]["id"], each["words"][0]) for each in read("transcript")]
    assert len(said) > 2
    assert len({who for who, _ in said}) == len(read("participants")) == 3
    starts = [words["start_timestamp"]["relative"] for _, words in said]
    timeline = read("speaker_timeline")
    assert starts == [each["start_timestamp"]["relative"] for each in timeline]
    video = (FOLDER / "meeting.mp4").read_bytes()
    assert len(video) < 200_000
    # The movie's length (ISO 14496-12, `mvhd`): time scale and duration.
    header = video.index(b"mvhd") + 4
    scale, length = struct.unpack(">II", video[header + 12 : header + 20])
    assert length / scale >= timeline[-1]["end_timestamp"]["relative"]


def test_a_transcript_is_made_after_the_meeting(session: requests.Session) -> None:
    with RecallSandbox(processing_seconds=0) as recall:
        retrieve(recall, session)
        control = f"{recall.url}/_sandbox/streams/s/media/transcript"

        def transcript(status: str | None) -> Any:
            assert session.post(control, json={"status": status}, timeout=30).status_code == 204
            return retrieve(recall, session)["recordings"][0]["media_shortcuts"]["transcript"]

        recall.end_stream("s")
        assert transcript(None) is None
        made = transcript("processing")
        assert (made["status"]["code"], made["data"]["download_url"]) == ("processing", None)
        made = transcript("done")
        assert session.get(made["data"]["download_url"], timeout=30).json()[1]["words"]
        wrong = f"{recall.url}/_sandbox/streams/s/media/hologram"
        assert session.post(wrong, json={"status": "done"}, timeout=30).status_code == 400


@pytest.mark.parametrize("listed", [True, False])
def test_mixed_audio_is_made_where_it_is_asked_for(session: requests.Session, listed: bool) -> None:
    config: dict[str, Any] = {"audio_mixed_mp3": {}, "audio_mixed_raw": {}}
    with RecallSandbox(processing_seconds=0) as recall:
        recall.set(audio_shortcut=listed, audio_a_page=1)
        retrieve(recall, session, recording_config=config)
        recall.end_stream("s")
        (recording,) = retrieve(recall, session, recording_config=config)["recordings"]
        shortcut = recording["media_shortcuts"]["audio_mixed"]
        assert (shortcut and shortcut["format"]) == ("mp3" if listed else None)
        url = f"{recall.url}/api/v1/audio_mixed?recording_id={recording['id']}"
        assert session.get(url, timeout=30).status_code == 401
        first = session.get(url, headers=AUTH, timeout=30).json()
        second = session.get(first["next"], headers=AUTH, timeout=30).json()
        assert second["next"] is None
        for page, kind, size in ((first, "mp3", 6192), (second, "raw", 8000)):
            (medium,) = page["results"]
            assert (medium["format"], medium["status"]["code"]) == (kind, "done")
            link = medium["data"]["download_url"]
            assert len(session.get(link, timeout=30).content) == size
        none = session.get(f"{recall.url}/api/v1/audio_mixed?recording_id=x", headers=AUTH)
        assert none.json()["results"] == []


def test_with_zero_retention_nothing_is_kept(session: requests.Session) -> None:
    config: dict[str, Any] = {"video_mixed_mp4": {}, "audio_mixed_mp3": {}, "retention": None}
    with RecallSandbox(processing_seconds=0) as recall:
        retrieve(recall, session, recording_config=config)
        recall.end_stream("s")
        (recording,) = retrieve(recall, session, recording_config=config)["recordings"]
        assert recording["status"]["code"] == "done"
        assert (recording["media_shortcuts"], recording["expires_at"]) == (None, None)
        url = f"{recall.url}/api/v1/audio_mixed?recording_id={recording['id']}"
        assert session.get(url, headers=AUTH, timeout=30).json()["results"] == []


def test_ranges_and_head(session: requests.Session) -> None:
    with RecallSandbox(processing_seconds=0) as recall:
        url = video_link(recall, session)
        whole = session.get(url, timeout=30)
        assert whole.status_code == 200 and whole.content[4:8] == b"ftyp"
        size = len(whole.content)
        head = session.head(url, timeout=30)
        assert (head.headers["Content-Length"], head.content) == (str(size), b"")
        for wanted, start, stop in (
            ("bytes=10-19", 10, 20),
            ("bytes=100-", 100, size),
            ("bytes=-7", size - 7, size),
            (f"bytes=5-{size * 2}", 5, size),
        ):
            part = session.get(url, headers={"Range": wanted}, timeout=30)
            assert (part.status_code, part.content) == (206, whole.content[start:stop])
            assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
        beyond = session.get(url, headers={"Range": f"bytes={size}-"}, timeout=30)
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
        other = {"Range": "bytes=10-19", "If-Range": '"another"'}
        assert session.get(url, headers=other, timeout=30).content == whole.content


def test_links_expire_and_cannot_be_forged(session: requests.Session) -> None:
    with RecallSandbox(processing_seconds=0) as recall:
        url = video_link(recall, session)
        assert session.get(url[:-1] + ("1" if url[-1] == "0" else "0")).status_code == 403
        assert session.get(url.replace("expires=", "expires=9")).status_code == 403
        with_key = session.get(url, headers=AUTH, timeout=30)
        assert with_key.status_code == 400
        assert recall.ledger[-1].authorization and "?" not in recall.ledger[-1].path
        recall.expire_links()
        late = session.get(url, timeout=30)
        assert late.status_code == 403 and "Request has expired" in late.text
        assert session.get(video_link(recall, session), timeout=30).status_code == 200
        recall.set(link_seconds=-1)
        assert session.get(video_link(recall, session), timeout=30).status_code == 403


def test_a_synthetic_video_can_be_resumed(session: requests.Session) -> None:
    size, cut = (3 << 20) + 5, (1 << 20) + 3
    digest = hashlib.sha256()
    for piece in synthetic(0, size):
        digest.update(piece)
    with RecallSandbox(processing_seconds=0, video_bytes=size) as recall:
        url = video_link(recall, session)
        recall.add_fault("truncated", path="media", cut=cut)
        received = b""
        with pytest.raises(requests.RequestException), session.get(url, stream=True) as answer:
            for piece in answer.iter_content(1000):
                received += piece
        assert 0 < len(received) <= cut
        rest = session.get(url, headers={"Range": f"bytes={len(received)}-"}, timeout=30)
        assert hashlib.sha256(received + rest.content).digest() == digest.digest()


def test_a_deleted_recording_has_no_media(session: requests.Session) -> None:
    with RecallSandbox(processing_seconds=0) as recall:
        url = video_link(recall, session)
        recall.end_stream("s", "deleted")
        assert retrieve(recall, session)["recordings"][0]["status"]["code"] == "deleted"
        assert session.get(url, timeout=30).status_code == 404


def test_webhooks_are_signed_and_repeated(session: requests.Session) -> None:
    arrived: list[tuple[str, dict[str, Any]]] = []
    complete = threading.Event()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            event = Webhook(SECRET).verify(body, dict(self.headers.items()))
            arrived.append((self.headers["webhook-id"], event))
            self.send_response(500 if len(arrived) == 1 else 204)
            self.end_headers()
            if len(arrived) == 4:
                complete.set()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/recall-webhook"
        with RecallSandbox(
            processing_seconds=0, webhook_url=url, webhook_secret=SECRET, webhook_scale=1e-4
        ) as recall:
            retrieve(recall, session)
            recall.end_stream("s")
            assert complete.wait(30)
            deadline = time.monotonic() + 30
            while not all(each.arrived for each in recall.notifier.notices):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        server.shutdown()
        thread.join()
    assert {event["event"] for _, event in arrived} == {
        "recording.processing",
        "recording.done",
        "transcript.done",
    }
    assert len({message_id for message_id, _ in arrived}) == 3
    assert all(event["data"]["recording"]["metadata"] == {"row": "7"} for _, event in arrived)
