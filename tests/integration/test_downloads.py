"""Downloads over real HTTP: whole, resumed, refused, cut, killed, and two at once."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from rtms.recall.responses import read_direct_connect
from rtms.recordings.download import Fetched, exists, fetch
from rtms.recordings.download_errors import (
    AlreadyRunning,
    DiskFailed,
    DownloadError,
    Incomplete,
    LinkDenied,
    LinkNotFollowed,
)
from sandbox import RecallSandbox
from sandbox.media import synthetic

PATH = "/api/v1/meeting_direct_connect"
ROOT = Path(__file__).parents[2]
MIB = 1 << 20

CHILD = """
import json, resource, signal, sys
from pathlib import Path
import psutil
from rtms.recordings.download import fetch
from rtms.recordings.download_errors import DownloadError

link, target, host, stop_at, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

this, peak = psutil.Process(), 0

def progress(done, total):
    global peak  # not ru_maxrss, which begins with that of the process that started this one
    peak = max(peak, this.memory_info().rss)
    if int(stop_at) and done >= int(stop_at):
        print(done, flush=True)
        signal.pause()

try:
    fetched = fetch(
        lambda: link, Path(target), allowed_host=host, progress=progress, timeout=30
    )
except DownloadError as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    print(json.dumps([fetched.bytes, fetched.resumed_from, peak]))
"""


@dataclass
class Meeting:
    """A meeting that is over, on a stand-in; its video has `size` bytes."""

    recall: RecallSandbox
    folder: Path
    size: int
    links_given: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def target(self) -> Path:
        return self.folder / "video.mp4"

    @property
    def part(self) -> Path:
        return self.folder / ".video.mp4.part"

    @property
    def note(self) -> Path:
        return self.folder / ".video.mp4.part.json"

    def link(self) -> str:
        url = f"{self.recall.url}{PATH}/{self.recall.connections[0].id}"
        headers = {"Authorization": f"Token {self.recall.api_key}"}
        body = requests.get(url, headers=headers, timeout=30).json()
        video = read_direct_connect(body).recordings[0].media[0]
        self.links_given.append(video.links["download_url"])
        return self.links_given[-1]

    def fetch(self, **options: Any) -> Fetched:
        return fetch(
            options.pop("link", self.link),
            self.target,
            **{
                "allowed_host": self.recall.url,
                "timeout": 30,
                "pause": self.pauses.append,
                **options,
            },
        )

    def child(self, *, stop_at: int = 0, limit: int = 0) -> subprocess.Popen[str]:
        """The same in another process, which waits once it has `stop_at` bytes."""
        numbers = [str(stop_at), str(limit)]
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, self.link(), str(self.target), self.recall.url, *numbers],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def is_whole(self) -> bool:
        expected = hashlib.sha256()
        for piece in synthetic(0, self.size):
            expected.update(piece)
        with self.target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256")
        left = [path for path in self.folder.iterdir() if path != self.target]
        return found.digest() == expected.digest() and left == []

    def ranges(self) -> list[str | None]:
        return [entry.range for entry in self.recall.ledger if entry.path.startswith("/media/")]


@contextmanager
def meeting_of(folder: Path, size: int) -> Iterator[Meeting]:
    with RecallSandbox(processing_seconds=0, video_bytes=size) as recall:
        rtms = dict.fromkeys(("meeting_uuid", "server_urls", "signature"), "x")
        requests.post(
            recall.url + PATH,
            json={"zoom_rtms": {**rtms, "rtms_stream_id": "s"}, "recording_config": {}},
            headers={"Authorization": f"Token {recall.api_key}"},
            timeout=30,
        ).raise_for_status()
        recall.end_stream("s")
        yield Meeting(recall, folder, size)


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[Meeting]:
    with meeting_of(tmp_path / "media", 3 * MIB + 5) as meeting:
        yield meeting


@dataclass
class Server:
    """Answers each request with the next of its answers; the last one stays."""

    answers: list[tuple[int, dict[str, str], bytes]]
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)

    @property
    def link(self) -> Callable[[], str]:
        return lambda: f"{self.url}/m.mp4?signature=very-secret"


@contextmanager
def serving(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Server]:
    script = Server(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script.requests.append(dict(self.headers.items()))
            status, headers, body = script.answers[0]
            if len(script.answers) > 1:
                del script.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def from_server(server: Server, target: Path, **options: Any) -> Fetched:
    settings = {"allowed_host": server.url, "timeout": 30, "pause": lambda seconds: None, **options}
    return fetch(server.link, target, **settings)


def whole(body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return 200, {"Content-Length": str(len(body)), "ETag": '"e"', **named}, body


def rest(start: int, body: bytes, content_range: str = "", etag: str = '"e"') -> Any:
    shown = content_range or f"bytes {start}-{len(body) - 1}/{len(body)}"
    headers = {"Content-Range": shown, "ETag": etag, "Content-Length": str(len(body) - start)}
    return 206, headers, body[start:]


# Whole


def test_a_medium_comes_whole(meeting: Meeting) -> None:
    seen: list[tuple[int, int | None]] = []
    assert not exists(meeting.target)
    fetched = meeting.fetch(progress=lambda done, total: seen.append((done, total)))
    assert fetched == Fetched(path=meeting.target, bytes=meeting.size, resumed_from=0)
    assert meeting.is_whole() and exists(meeting.target)
    assert seen[0] == (0, meeting.size) and seen[-1] == (meeting.size, meeting.size)
    assert seen == sorted(seen)
    assert not any(e.authorization for e in meeting.recall.ledger if "/media/" in e.path)
    assert meeting.pauses == []


def test_an_empty_medium(tmp_path: Path) -> None:
    with serving(whole(b"")) as server:
        assert from_server(server, tmp_path / "m").bytes == 0
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_what_comes_in_chunks_has_no_length_and_is_still_whole(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with serving((200, {"Transfer-Encoding": "chunked"}, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) as s:
        # http.server answers as HTTP/1.0, where this coding is read all the same.
        from_server(s, tmp_path / "m", progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "m").read_bytes() == b"abcde"
    assert seen[-1] == (5, None)


# Resumed


def test_a_cut_connection_is_resumed_in_the_same_call(meeting: Meeting) -> None:
    meeting.recall.add_fault("truncated", path="media", cut=MIB + 3)
    assert meeting.fetch().resumed_from == 0
    assert meeting.is_whole()
    assert meeting.ranges() == [None, f"bytes={MIB + 3}-"]
    assert len(meeting.pauses) == 1 and len(meeting.links_given) == 1


@pytest.mark.parametrize("fault", ["reset_before", "hang", "not_json"])
def test_trouble_on_the_way_is_ridden_out(meeting: Meeting, fault: str) -> None:
    if fault == "not_json":
        meeting.recall.add_fault("status", status=503, path="media", times=2)
    else:
        meeting.recall.add_fault(fault, path="media", times=1)
    meeting.fetch(timeout=0.5 if fault == "hang" else 30)
    assert meeting.is_whole()


def test_tries_that_bring_nothing_run_out_and_waits_grow(meeting: Meeting) -> None:
    meeting.recall.add_fault("reset_before", path="media", times=None)
    with pytest.raises(Incomplete, match=r"^video.mp4 is incomplete: .*\. Try again\.$"):
        meeting.fetch(attempts=4)
    assert len(meeting.ranges()) == 4
    assert meeting.pauses == sorted(set(meeting.pauses)) and len(meeting.pauses) == 3
    assert list(meeting.folder.iterdir()) == []


def test_tries_that_bring_something_never_run_out(meeting: Meeting) -> None:
    meeting.recall.add_fault("truncated", path="media", times=8, cut=MIB // 3)
    meeting.fetch(attempts=2)
    assert meeting.is_whole() and len(meeting.ranges()) == 9


def test_a_later_call_goes_on_where_the_first_stopped(meeting: Meeting) -> None:
    meeting.recall.add_fault("truncated", path="media", cut=MIB)
    with pytest.raises(Incomplete, match="Its 1,048,576 bytes so far are kept"):
        meeting.fetch(attempts=1)
    assert meeting.part.stat().st_size == MIB and not exists(meeting.target)
    assert meeting.fetch().resumed_from == MIB
    assert meeting.is_whole()


def test_a_part_that_is_all_there_is_checked_and_placed(meeting: Meeting) -> None:
    meeting.fetch()
    etag = f'"synthetic-{meeting.size}"'
    meeting.target.rename(meeting.part)
    meeting.note.write_text(json.dumps({"etag": etag, "length": meeting.size}))
    assert meeting.fetch().resumed_from == meeting.size - 1
    assert meeting.is_whole()


@pytest.mark.parametrize(
    "note",
    [
        '{"etag": "\\"another\\"", "length": 3145733}',
        '{"etag": "W/\\"weak\\"", "length": 3145733}',
        '{"etag": "\\"synthetic-3145733\\"", "length": 100}',
        '{"etag": "\\"synthetic-3145733\\"", "length": 3145732}',
        '{"etag": null, "length": 3145733}',
        '{"etag": "\\"x\\"\\r\\nA: b", "length": true}',
        "[]",
        "{",
        "",
    ],
)
def test_a_part_of_another_medium_is_not_continued(meeting: Meeting, note: str) -> None:
    meeting.folder.mkdir()
    meeting.part.write_bytes(b"x" * 1000)
    meeting.note.write_text(note)
    assert meeting.fetch().resumed_from == 0
    assert meeting.is_whole()


def test_a_part_without_a_note_is_not_continued(meeting: Meeting) -> None:
    meeting.folder.mkdir()
    meeting.part.write_bytes(b"x" * 1000)
    meeting.fetch()
    assert meeting.is_whole() and meeting.ranges() == [None]


BODY = bytes(range(200)) * 10


@pytest.mark.parametrize(
    "answer",
    [
        rest(1000, BODY, "bytes 999-1999/2000"),
        rest(1000, BODY, "bytes 1000-1999/2001"),
        rest(1000, BODY, "bytes 1000-1999/*"),
        rest(1000, BODY, "nonsense"),
        rest(1000, BODY, etag='"other"'),
        (416, {"Content-Range": "bytes */10", "Content-Length": "0"}, b""),
    ],
)
def test_an_answer_that_does_not_continue_the_part_starts_it_anew(
    tmp_path: Path, answer: Any
) -> None:
    cut = (200, {"Content-Length": "2000", "ETag": '"e"'}, BODY[:1000])
    with serving(cut, answer, whole(BODY)) as server:
        from_server(server, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == BODY
    asked = [request.get("Range") for request in server.requests]
    assert asked == [None, "bytes=1000-", None]
    assert server.requests[1]["If-Range"] == '"e"'


def test_a_server_without_ranges_sends_all_of_it_again(tmp_path: Path) -> None:
    cut = (200, {"Content-Length": "2000", "ETag": '"e"'}, BODY[:1000])
    with serving(cut, whole(BODY)) as server:
        from_server(server, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_medium_without_a_strong_etag_is_never_resumed(tmp_path: Path) -> None:
    cut = (200, {"Content-Length": "2000", "ETag": 'W/"e"'}, BODY[:1000])
    with serving(cut) as server, pytest.raises(Incomplete, match=r"Try again\.$"):
        from_server(server, tmp_path / "m", attempts=3)
    assert [request.get("Range") for request in server.requests] == [None] * 3


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {"ETag": '"e"'}, BODY), "does not say how long"),
        (whole(BODY, Content_Encoding="gzip"), "sends it compressed"),
        ((204, {}, b""), "answered 204, which was not expected"),
        ((502, {"Content-Length": "0"}, b""), "answered 502"),
    ],
)
def test_answers_that_cannot_be_trusted(tmp_path: Path, answer: Any, why: str) -> None:
    with serving(answer) as server, pytest.raises(Incomplete, match=why):
        from_server(server, tmp_path / "m", attempts=2)
    assert len(server.requests) == 2 and list(tmp_path.iterdir()) == []


# Links


def test_a_link_that_expires_under_way_is_replaced(meeting: Meeting) -> None:
    meeting.recall.add_fault("truncated", path="media", cut=MIB)

    def progress(done: int, total: int | None) -> None:
        if 0 < done <= MIB:
            meeting.recall.expire_links()

    assert meeting.fetch(progress=progress).resumed_from == 0
    assert meeting.is_whole()
    assert len(meeting.links_given) == 2
    assert meeting.ranges() == [None, f"bytes={MIB}-", f"bytes={MIB}-"]


def test_a_link_that_has_expired_before_it_was_used_is_replaced(meeting: Meeting) -> None:
    stale = meeting.link()
    meeting.recall.expire_links()
    given = iter([stale])
    meeting.fetch(link=lambda: next(given, None) or meeting.link())
    assert meeting.is_whole()


def test_a_link_that_is_refused_for_good(meeting: Meeting) -> None:
    meeting.recall.set(link_seconds=-1)
    with pytest.raises(LinkDenied, match=r"refused \(403\), and so is a fresh one"):
        meeting.fetch()
    assert len(meeting.links_given) == 2 and len(meeting.ranges()) == 2


def test_a_medium_that_was_deleted(meeting: Meeting) -> None:
    link = meeting.link()
    meeting.recall.end_stream("s", "deleted")
    with pytest.raises(LinkDenied, match="Recall may have deleted it"):
        meeting.fetch(link=lambda: link)


def test_what_came_is_kept_when_no_fresh_link_is_to_be_had(meeting: Meeting) -> None:
    meeting.recall.add_fault("truncated", path="media", cut=MIB)
    meeting.recall.add_fault("status", status=403, path="media", times=2)
    with pytest.raises(LinkDenied):
        meeting.fetch()
    assert meeting.fetch().resumed_from == MIB
    assert meeting.is_whole()


@pytest.mark.parametrize("allowed", [None, "http://127.0.0.1:1", "https://us-east-1.recall.ai"])
def test_a_link_over_http_to_another_host_is_not_followed(
    meeting: Meeting, allowed: str | None
) -> None:
    with pytest.raises(LinkNotFollowed, match=r"video\.mp4 .* leads to 127\.0\.0\.1 over http"):
        meeting.fetch(allowed_host=allowed)
    assert meeting.ranges() == []


@pytest.mark.parametrize(
    "link",
    [
        "",
        "file:///etc/passwd",
        "ftp://media.example/a",
        "//media.example/a",
        "https://",
        "https://user:very-secret@media.example/a",
        "https://media.example\\@127.0.0.1/a",
        "https://media.example/a b",
        "https://[media/a",
        "https://media.example:99999/a",
        "https://mediä.example/a?signature=very-secret",
    ],
)
def test_a_link_that_is_no_plain_https_url_is_not_followed(tmp_path: Path, link: str) -> None:
    with pytest.raises(LinkNotFollowed) as raised:
        fetch(lambda: link, tmp_path / "m", timeout=1)
    assert "very-secret" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_another_host_over_http_is_not_followed(
    meeting: Meeting, tmp_path: Path
) -> None:
    with serving(whole(b"evil")) as other:
        meeting.recall.add_fault("redirect", path="media", location=other.link())
        with pytest.raises(LinkNotFollowed, match="redirects to an address that leads to 127"):
            meeting.fetch()
    assert other.requests == []


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "http://user@127.0.0.1/x"])
def test_a_redirect_to_nowhere(meeting: Meeting, location: str) -> None:
    with (
        serving((302, {"Location": location, "Content-Length": "0"}, b"")) as server,
        pytest.raises(LinkNotFollowed, match="redirects"),
    ):
        from_server(server, meeting.target)


def test_redirects_come_to_an_end(tmp_path: Path) -> None:
    with serving((302, {"Location": "/again", "Content-Length": "0"}, b"")) as server:
        with pytest.raises(LinkNotFollowed, match="more than 5 times"):
            from_server(server, tmp_path / "m")
        assert len(server.requests) == 6


def test_a_redirect_to_another_host_carries_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login mallory password netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    here, there = "http://127.0.0.1:1", "https://media.example/m.mp4"
    with responses.RequestsMock() as http:
        http.get(
            f"{here}/m.mp4", status=302, headers={"Location": there, "Set-Cookie": "a=b; Path=/"}
        )
        http.get(there, body=b"video", headers={"Content-Length": "5", "Set-Cookie": "c=d"})
        fetched = fetch(
            lambda: f"{here}/m.mp4?signature=s", tmp_path / "m", allowed_host=here, timeout=1
        )
        sent = [call.request.headers for call in http.calls]
    assert fetched.bytes == 5
    assert not any("Authorization" in h or "Cookie" in h or "Referer" in h for h in sent)


@pytest.mark.slow
def test_no_error_and_no_log_line_holds_a_link(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    troubles: list[Any] = [
        {"kind": "reset_before", "times": 2},
        {"kind": "truncated", "cut": 10, "times": 2},
        {"kind": "status", "status": 403, "times": 2},
        {"kind": "redirect", "location": "http://127.0.0.2/?signature=x"},
        {"kind": "hang", "times": 2},
    ]
    raised: list[BaseException] = []
    for trouble in troubles:
        meeting.recall.add_fault(path="media", **{"fault": trouble.pop("kind"), **trouble})
        with pytest.raises(DownloadError) as caught:
            meeting.fetch(attempts=2, timeout=0.5)
        raised.append(caught.value)
    meeting.fetch()
    for error in raised:
        chain: BaseException | None = error
        while chain is not None:
            assert "signature" not in f"{chain} {chain!r}"
            chain = chain.__cause__ or chain.__context__
    shown = [record.getMessage() for record in caplog.records if "urllib3" in record.name]
    assert any("/media/" in line for line in shown)
    assert not any("signature" in line for line in shown)


# The disk


def test_a_full_disk_is_told_and_what_fits_is_kept(meeting: Meeting) -> None:
    limit = MIB + 100
    with meeting.child(limit=limit) as child:
        said, _ = child.communicate(timeout=60)
    name, message = json.loads(said)
    assert name == DiskFailed.__name__
    assert "video.mp4 cannot be written" in message and f"{limit:,} bytes so far" in message
    assert meeting.part.stat().st_size == limit
    assert meeting.fetch().resumed_from == limit
    assert meeting.is_whole()


def test_a_folder_that_cannot_be_made(meeting: Meeting) -> None:
    meeting.folder.write_text("a file")
    with pytest.raises(DiskFailed, match=r"video\.mp4 cannot be written"):
        meeting.fetch()
    assert meeting.links_given == []


def test_a_link_that_lies_in_the_parts_place_is_not_written_through(meeting: Meeting) -> None:
    meeting.folder.mkdir()
    victim = meeting.folder.parent / "victim"
    victim.write_text("untouched")
    meeting.part.symlink_to(victim)
    with pytest.raises(DiskFailed, match="symbolic link"):
        meeting.fetch()
    assert victim.read_text() == "untouched"


def test_what_a_caller_raises_passes_and_leaves_the_part(meeting: Meeting) -> None:
    def progress(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meeting.fetch(progress=progress)
    came = meeting.part.stat().st_size
    assert 0 < came < meeting.size
    assert meeting.fetch().resumed_from == came
    assert meeting.is_whole()


# Processes


def stopped_at(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def test_killed_in_the_middle_and_resumed_to_the_same_bytes(tmp_path: Path) -> None:
    with meeting_of(tmp_path / "media", 64 * MIB + 7) as meeting:
        with meeting.child(stop_at=20 * MIB) as child:
            came = stopped_at(child)
            child.kill()
        assert not exists(meeting.target) and meeting.part.stat().st_size == came
        assert meeting.fetch().resumed_from == came
        assert meeting.is_whole()


def test_two_processes_at_once(meeting: Meeting) -> None:
    with meeting.child(stop_at=MIB) as child:
        came = stopped_at(child)
        with pytest.raises(
            AlreadyRunning, match=r"video\.mp4 is being downloaded by another process"
        ):
            meeting.fetch()
        assert meeting.part.stat().st_size == came
        child.kill()
    assert meeting.fetch().resumed_from == came
    assert meeting.is_whole()


def test_many_at_once_leave_one_whole_file(meeting: Meeting) -> None:
    outcomes: list[object] = []
    links = [meeting.link() for _ in range(8)]

    def run(link: str) -> None:
        try:
            outcomes.append(meeting.fetch(link=lambda: link))
        except DownloadError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(link,)) for link in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 8
    assert any(isinstance(each, Fetched) for each in outcomes)
    assert all(isinstance(each, Fetched | AlreadyRunning) for each in outcomes)
    assert meeting.is_whole()


def test_memory_stays_constant(tmp_path: Path) -> None:
    with meeting_of(tmp_path / "media", 512 * MIB) as meeting:
        with meeting.child() as child:
            said, _ = child.communicate(timeout=120)
        size, _, peak = json.loads(said)
        assert size == 512 * MIB
        assert peak < 100 * MIB
