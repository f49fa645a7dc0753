"""A deploy over the version before: its database, its `.env`, its command."""

from __future__ import annotations

from pathlib import Path

from sandbox import RecallSandbox, Stream, ZoomSandbox, events
from tests.conftest import ENVIRON
from tests.servers import Server, creates, wait_for

# Every variable that 0.9 had.
ENV = """
ZOOM_SECRET_TOKEN={ZOOM_SECRET_TOKEN}
ZOOM_CLIENT_ID={ZOOM_CLIENT_ID}
ZOOM_CLIENT_SECRET={ZOOM_CLIENT_SECRET}
RECALL_API_KEY={RECALL_API_KEY}
RECALL_REGION=us-east-1
RECALL_BASE_URL={RECALL_BASE_URL}
RECALL_TIMEOUT_SECONDS=10
RECALL_RETRIEVES_PER_MINUTE=240
RECALL_WEBHOOK_SECRET=whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw==
RECORDING_CONFIG='{{"video_mixed_mp4": {{}}}}'
RECORD_STREAMS=all
CONNECT_WINDOW_SECONDS=60
CONNECT_THREADS=32
DISPATCHER=on
DATABASE_URL={DATABASE_URL}
ARCHIVE_URL={folder}
SIGNATURE_TOLERANCE_SECONDS=300
MAX_BODY_BYTES=262144
EXTENSIONS=
NOTIFY_URL=
NOTIFY_SECRET=
ADMIN_PASSWORD=a-password-of-the-tests
METRICS_TOKEN=a-token-of-the-tests
PUBLIC_URL=https://example-name.ngrok-free.app
TRUSTED_PROXIES=0
RETENTION_DAYS=30
HOST=127.0.0.1
PORT={PORT}
WEB_CONCURRENCY=2
LOG_FORMAT=console
LOG_LEVEL=INFO
"""


def test_a_deploy_goes_on_with_the_database_and_the_env_of_the_version_before(
    server: Server, zoom: ZoomSandbox, recall: RecallSandbox, project: Path
) -> None:
    waiting, new = Stream(), Stream()
    given = server.environ
    server.environ = {**given, "DISPATCHER": "off"}
    before = server.start()
    assert zoom.deliver(events.started(waiting)).ok
    assert server.terminate(before) == 0

    server.root = project
    values = {**ENVIRON, **given, "folder": str(project.parent / "archive")}
    (project / ".env").write_text(ENV.format(**values))
    server.environ = {name: given[name] for name in ("PATH", "HOME")}
    after = server.start(bind=False)
    assert zoom.deliver(events.started(new)).ok
    wait_for(lambda: len(creates(recall)) == 2, server.log)
    server.environ = given
    wait_for(lambda: all(row["recall_id"] for row in server.meetings()), server.log)
    assert {row["rtms_stream_id"] for row in server.meetings()} == {
        waiting.rtms_stream_id,
        new.rtms_stream_id,
    }
    assert server.get("/login") == 200
    assert "WARNING" not in server.log().upper()
    assert server.terminate(after) == 0
