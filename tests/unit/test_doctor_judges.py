"""What the doctor makes of what it saw: no I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models import SCHEMA_REVISION
from rtms.db.engines import POOL
from rtms.doctor import activity, connections, disks, recall, tunnels
from rtms.doctor import database as storage
from rtms.doctor.finding import Grade
from rtms.doctor.probe import ProbeAnswer
from rtms.doctor.public_url import judge_challenge, judge_ready
from rtms.doctor.signing_oracle import signs
from rtms.recall.rate_limit import CREATE_GATE
from rtms.zoom.signature import hex_hmac

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MOUNTS = r"""
/dev/vda1 / ext4 rw 0 0
nas:/export /srv nfs4 rw 0 0
/dev/vdb1 /srv/local\040disk xfs rw 0 0
tmpfs /tmp tmpfs rw 0 0
malformed
"""


def test_the_pool_is_counted_as_it_is() -> None:
    most = POOL["pool_size"] + POOL["max_overflow"]
    assert most == connections.CONNECTIONS_A_PROCESS


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/rtms", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/deep/below", "nfs4"),
        ("/srvother", "ext4"),
        ("/srv/local disk/instance", "xfs"),
        ("/tmp/x", "tmpfs"),
    ],
)
def test_the_innermost_mount_says_what_a_folder_is_on(folder: str, kind: str) -> None:
    assert disks.kind_of(Path(folder), MOUNTS) == kind


def test_only_local_disks_that_last_are_fit_for_a_table() -> None:
    for kind in ("ext4", "xfs", "btrfs", "zfs", "apfs"):
        assert disks.trouble_with(kind) is None
    for kind in ("nfs", "nfs4", "cifs", "9p", "fuse.sshfs", "fuse.s3fs", "tmpfs", "overlay"):
        assert disks.trouble_with(kind)


@pytest.mark.parametrize(
    ("free", "grade"), [(10**10, Grade.OK), (5 * 10**8, Grade.WARNING), (10**7, Grade.FAILURE)]
)
def test_room_on_the_disk(free: int, grade: Grade) -> None:
    assert disks.judge_room(Path("/srv"), free).grade == grade


@pytest.mark.parametrize(
    ("seconds", "grade"), [(0.002, Grade.OK), (0.2, Grade.WARNING), (1.5, Grade.FAILURE)]
)
def test_speed_of_a_commit(seconds: float, grade: Grade) -> None:
    assert storage.judge_commits(seconds, "SQLite").grade == grade
    assert f"{seconds * 1000:.1f} ms" in storage.judge_commits(seconds, "PostgreSQL").found


@pytest.mark.parametrize(
    ("asked", "answered", "date", "ahead"),
    [
        (100.2, 100.4, 100, 0.0),  # the same second
        (100.9, 101.1, 100, 0.0),  # Recall's clock may still have been at 100.95
        (100.9, 101.1, 101, 0.0),
        (110.0, 110.1, 100, 9.0),
        (90.0, 90.5, 100, -9.5),
        (100.0, 108.0, 104, 0.0),  # a slow answer says little, and blames nobody
    ],
)
def test_clocks_are_compared_without_blame_for_whole_seconds_and_slow_answers(
    asked: float, answered: float, date: float, ahead: float
) -> None:
    assert recall.apart(asked, answered, date) == pytest.approx(ahead)


@pytest.mark.parametrize(
    ("ahead", "grade", "words"),
    [
        (4.0, Grade.OK, "agrees"),
        (6.0, Grade.WARNING, "6 seconds ahead of"),
        (-6.0, Grade.WARNING, "6 seconds behind"),
        (-301.0, Grade.FAILURE, "301 seconds behind"),
    ],
)
def test_clock(ahead: float, grade: Grade, words: str) -> None:
    found = recall.judge_clock(ahead, 300)
    assert (found.grade, words in found.found) == (grade, True)


@pytest.mark.parametrize(
    ("status", "grade", "words"),
    [
        (200, Grade.OK, "eu-central-1 accepts"),
        (401, Grade.FAILURE, "from another region"),
        (402, Grade.FAILURE, "no credit"),
        (403, Grade.FAILURE, "refuses the call"),
        (404, Grade.FAILURE, "another program"),
        (307, Grade.FAILURE, "redirects"),
        (429, Grade.WARNING, "too many calls"),
        (503, Grade.WARNING, "an internal error"),
    ],
)
def test_recalls_answers(status: int, grade: Grade, words: str) -> None:
    found = recall.judge_answer(status, "https://eu-central-1.recall.ai")
    assert (found.grade, words in found.found) == (grade, True)
    if status == 401:
        assert found.next_step
        assert "us-west-2" in found.next_step
        assert "eu-central-1" not in found.next_step


def counts(**values: int) -> connections.Capacity:
    usual = {"web": 2, "workers": 0, "threads": 32, "connects": 32, "allowed": 97, "used": 5}
    return connections.Capacity(**{**usual, **values})


@pytest.mark.parametrize(
    ("values", "grade"),
    [
        ({}, Grade.OK),
        ({"allowed": 17}, Grade.OK),
        ({"allowed": 15}, Grade.WARNING),
        ({"workers": 11}, Grade.WARNING),
        ({"used": 90}, Grade.WARNING),
    ],
)
def test_connections(values: dict[str, int], grade: Grade) -> None:
    (found,) = connections.judge(counts(**values))
    assert found.grade == grade


@pytest.mark.parametrize(
    ("web", "workers", "connecting", "dispatcher", "grade"),
    [
        (2, 0, 2, True, Grade.OK),
        (2, 1, 1, False, Grade.OK),
        (2, 0, 0, False, Grade.FAILURE),
        (0, 0, 0, False, Grade.FAILURE),
        (2, 0, 0, True, Grade.FAILURE),
        (0, 1, 1, True, Grade.WARNING),
        (0, 0, 0, True, Grade.WARNING),
    ],
)
def test_processes(web: int, workers: int, connecting: int, dispatcher: bool, grade: Grade) -> None:
    found = activity.judge_processes(web, workers, connecting, dispatcher=dispatcher)
    assert found.grade == grade


WAITING = activity.MeetingCounts(
    pending=0,
    overdue=[],
    unfollowed=0,
    failed={},
    unstored=0,
    paused_until={},
    last_delivery=NOW - timedelta(hours=5),
    now=NOW,
)


def test_a_last_delivery_is_told_with_its_age() -> None:
    pending, last = activity.judge_meetings(WAITING)
    assert pending.grade == last.grade == Grade.OK
    assert "2026-11-22 04:30:00 UTC, 5 hours ago" in last.found


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 seconds"), (1.4, "1 second"), (59, "59 seconds"), (180, "3 minutes")],
)
def test_a_fresh_delivery_is_told_in_seconds(seconds: float, words: str) -> None:
    waiting = replace(WAITING, last_delivery=NOW - timedelta(seconds=seconds))
    *_, last = activity.judge_meetings(waiting)
    assert f", {words} ago." in last.found


def test_meetings_that_wait_for_a_gate_are_not_said_to_be_on_time() -> None:
    waiting = replace(WAITING, pending=3, paused_until={CREATE_GATE: NOW + timedelta(minutes=10)})
    pending, gate, _ = activity.judge_meetings(waiting)
    assert (pending.grade, gate.grade) == (Grade.OK, Grade.WARNING)
    assert "3 meetings wait for the end of Recall's pause" in pending.found


def answer(
    status: int = 200, content: bytes = b"{}", seconds: float = 0.1, **headers: str
) -> ProbeAnswer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return ProbeAnswer(status, named, content, seconds)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(404, b"gone", Ngrok_Error_Code="ERR_NGROK_3200"), "no open tunnel with this name"),
        (answer(502, b"", Ngrok_Error_Code="ERR_NGROK_8012"), "nothing answers at its other end"),
        (answer(403, b"", Ngrok_Error_Code="ERR_NGROK_999"), "ERR_NGROK_999"),
        (answer(301, Location="https://www.example.com/?token=secret"), "https://www.example.com."),
        (answer(308, Location="/zoom-webhook/?token=secret"), "another path"),
        (answer(302, Location="https://[broken"), "another path"),
        (answer(502, b"Bad Gateway"), "cannot reach the server"),
        (answer(200, b"<p>", Content_Type="text/html; charset=utf-8"), "A web page answers"),
        (answer(404, b"<!DOCTYPE html>"), "A web page answers"),
        (answer(404), "no such route"),
        (answer(405), "no such route"),
    ],
)
def test_who_answers_in_place_of_the_server(given: ProbeAnswer, words: str) -> None:
    explained = tunnels.explain(given)
    assert explained
    assert words in explained[0]
    assert "secret" not in str(explained)


def test_the_servers_own_answers_are_its_own() -> None:
    assert tunnels.explain(answer(200, b'{"plainToken":"a"}')) is None
    assert tunnels.explain(answer(401, b'{"error":"..."}')) is None
    assert tunnels.explain(answer(503, b'{"error":"..."}')) is None


EXPECTED = {"plainToken": "abc", "encryptedToken": hex_hmac("token", b"abc")}
RIGHT = b'{"plainToken":"abc","encryptedToken":"%s"}' % EXPECTED["encryptedToken"].encode()


@pytest.mark.parametrize(
    ("given", "grade", "words"),
    [
        (answer(200, RIGHT), Grade.OK, "rightly"),
        (answer(200, RIGHT, seconds=2.0), Grade.WARNING, "2.00 seconds"),
        (answer(200, RIGHT, seconds=4.0), Grade.FAILURE, "not delivered"),
        (answer(401), Grade.FAILURE, "refused (401)"),
        (answer(200, b"ok"), Grade.FAILURE, "not with an encryptedToken"),
        (answer(200, b'{"encryptedToken":7}'), Grade.FAILURE, "not with an encryptedToken"),
        (answer(200, RIGHT.replace(b"abc", b"abd")), Grade.FAILURE, "wrong encryptedToken"),
        (answer(200, b'{"encryptedToken":"\xc3\xa9"}'), Grade.FAILURE, "wrong encryptedToken"),
    ],
)
def test_answers_to_the_challenge(given: ProbeAnswer, grade: Grade, words: str) -> None:
    found = judge_challenge(given, EXPECTED)
    assert (found.grade, words in found.found) == (grade, True)


@pytest.mark.parametrize(
    ("given", "grade"),
    [
        (answer(200, b'{"status":"ready"}'), Grade.OK),
        (answer(503, b'{"status":"not ready"}'), Grade.FAILURE),
        (answer(404, b"<html>"), Grade.WARNING),
        (answer(200, b"[]"), Grade.WARNING),
    ],
)
def test_answers_of_readyz(given: ProbeAnswer, grade: Grade) -> None:
    assert judge_ready(given).grade == grade


MESSAGE = 'v0:1790000000:{"event":"x"}'
SIGNATURE = hex_hmac("token", MESSAGE.encode()).encode()


@pytest.mark.parametrize(
    ("given", "is_oracle"),
    [
        (answer(200, b'{"plainToken":"?","encryptedToken":"%s"}' % SIGNATURE), True),
        (answer(200, b'{"encryptedToken":"%s"}' % SIGNATURE.upper()), True),
        (answer(400, b'{"error":"%s"}' % SIGNATURE), True),
        (answer(200, b'{"plainToken":"v0:1","encryptedToken":"%s"}' % (b"0" * 64)), True),
        (answer(200, b'{"encryptedToken":"%s"}' % (b"0" * 64)), True),  # of whose key?
        (answer(400, b'{"error":"refused"}'), False),
        (answer(200, b'{"outcome":"unknown"}'), False),
        (answer(200, b"\xff\xfe"), False),
    ],
)
def test_what_is_a_signature_of_a_forged_delivery(given: ProbeAnswer, is_oracle: bool) -> None:
    assert signs(given, MESSAGE, ("other", "token")) is is_oracle


def test_the_revision_is_judged_as_the_database_does() -> None:
    assert not storage._is_newer(SCHEMA_REVISION)
    assert storage._is_newer("9999")
