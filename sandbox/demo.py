"""``make demo``: four meetings, from Zoom's webhook to a video on disk, without an account.

The server is real; Zoom and Recall are stand-ins. The exit code is 0 only if every row of the table
is as expected and the stand-in for Recall agrees. The demo always leaves nothing running, and a
video and a transcript in the folder `recordings`.
"""

import argparse
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.text import Text

from sandbox import Delivery, Fault, RecallSandbox, Stream, ZoomApiSandbox, ZoomSandbox, events
from sandbox.connections import Connection
from sandbox.media import FOLDER as MEDIA
from sandbox.processes import LEAVING, ROOT, leave, running, undisturbed
from sandbox.traffic import Traffic

SECRETS = {
    "ZOOM_SECRET_TOKEN": "secret-token-of-the-demo",
    "ZOOM_CLIENT_ID": "client-id-of-the-demo",
    "ZOOM_CLIENT_SECRET": "client-secret-of-the-demo",
    "RECALL_API_KEY": "api-key-of-the-demo",
    "RECALL_WEBHOOK_SECRET": "whsec_" + b64encode(b"webhook-secret-of-the-demo").decode(),
}
# The variables of the user's shell that the server gets: enough to run Python, and no setting.
KEPT = "PATH HOME LANG LC_ALL LC_CTYPE TERM COLORTERM NO_COLOR COLUMNS TMPDIR LD_LIBRARY_PATH"
WAIT_SECONDS = 30.0  # for the server, a command or a connection, even on a busy machine
PROGRESS_SECONDS = 1.0  # of waiting, after which progress is shown

COPIES = 4  # of a delivery that arrive together, as from several subscriptions to one event
REPEATED = Stream(meeting_id=81111111111)
MOVED = Stream(meeting_id=82222222222)
DELAYED = Stream(meeting_id=83333333333)
BROKEN = Stream(meeting_id=84444444444)
BROKE_OFF = 13  # Zoom's reason: the signalling connection was interrupted

# The expected rows at the end, oldest first; 6: the meeting ended.
COLUMNS = (
    *("id", "meeting_id", "attempts", "stop_reason"),
    *("superseded_by", "restarted_as", "state", "reason"),
)
EXPECTED = (
    (1, "81111111111", 1, 6, None, None, "done", None),
    (2, "82222222222", 1, None, 3, None, "done", None),
    (3, "82222222222", 1, 6, None, None, "done", None),
    (4, "83333333333", 2, 6, None, None, "done", None),
    (5, "84444444444", 1, BROKE_OFF, None, 6, "done", None),
    (6, "84444444444", 1, 6, None, None, "done", None),
)

LEFT = ROOT / "recordings"  # where the video and the transcript are left

WHAT_NEXT = """
What next:
{keep}  docs/SETUP.md      set up the Zoom app and the Recall workspace, click by click
  make .env          create the settings of the real server
  make run           run the real server"""

KEEP_NEXT = "  make demo KEEP=1   the same, but keep running: try the dashboard and commands\n"

console = Console(highlight=False, markup=False, emoji=False)


class Trouble(Exception):
    """Something is not as expected. The message says what."""


class Demo:
    """The server and both stand-ins. ``stack`` stops what is started."""

    def __init__(self, stack: ExitStack, *, keep: bool = False) -> None:
        """Start the server in an empty folder. It may not be ready yet.

        With ``keep``, the server runs until a signal ends it.
        """
        self._password = secrets.token_urlsafe(12) if keep else ""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        self._videos = folder / "videos"
        self._exports = folder / "terminal.sh"
        self._log = stack.enter_context((folder / "server.log").open("ab"))
        # The server inherits this socket, so no other program can take its port.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port, file = listener.getsockname()[1], listener.fileno()
            self._url = f"http://127.0.0.1:{port}"
            self._recall = stack.enter_context(
                RecallSandbox(
                    SECRETS["RECALL_API_KEY"],
                    client_id=SECRETS["ZOOM_CLIENT_ID"],
                    client_secret=SECRETS["ZOOM_CLIENT_SECRET"],
                    webhook_url=f"{self._url}/recall-webhook",
                    webhook_secret=SECRETS["RECALL_WEBHOOK_SECRET"],
                )
            )
            self._zoom_api = stack.enter_context(
                ZoomApiSandbox(rtms_client_id=SECRETS["ZOOM_CLIENT_ID"])
            )
            self._environ = (
                own_environ()
                | self._zoom_api.environ
                | {
                    "PORT": str(port),
                    "WEB_CONCURRENCY": "2",
                    "DATABASE_URL": f"sqlite:///{folder / 'rtms.sqlite3'}",
                    "RECALL_BASE_URL": self._recall.url,
                    "ADMIN_PASSWORD": self._password,
                }
            )
            command = ("gunicorn", "app:app", "--bind", f"fd://{file}")
            self._server = stack.enter_context(
                running(*command, env=self._environ, out=self._log, err=self._log, pass_fds=(file,))
            )
        self._zoom = stack.enter_context(
            ZoomSandbox(f"{self._url}/zoom-webhook", SECRETS["ZOOM_SECRET_TOKEN"])
        )
        self._zoom_api.deliver = self._zoom.deliver

    def run(self) -> None:
        """Run the whole demo, or raise Trouble."""
        console.print(
            "The server is real; Zoom and Recall are stand-ins. On the left is how long each step "
            'took. "200 in 9 ms" is the server\'s answer to Zoom, which waits three seconds.\n'
        )
        began = time.monotonic()
        for number, said in enumerate(self._story(), 1):
            took = f"{(time.monotonic() - began) * 1000:,.0f} ms"
            say(Text.assemble((f"{number:>2}", "bold"), (f"{took:>10}  ", "dim")), said)
            began = time.monotonic()
        self._show("meetings", "list")
        self._explain()
        self._fetch()
        if self._password:
            self._keep()
        self._end()
        console.print(WHAT_NEXT.format(keep="" if self._password else KEEP_NEXT))

    def _story(self) -> Iterator[str]:
        """Do the steps, and yield what happened in each."""
        self._wait_for("the server to be ready", self._ready)
        yield f"The server is ready at {self._url}, with an empty table."

        validation = self._zoom.validate()
        expect(validation.ok, f"Zoom refuses the endpoint: {validation.reason}.")
        yield "Zoom validates the endpoint: the answer is correct."

        forged = self._zoom.deliver(events.started(Stream()), signature="v0=" + "0" * 64)
        expect(forged.status == 401, f"A forged delivery was answered {forged.status}, not 401.")
        yield "A forged delivery arrives: refused with 401."

        started = events.started(REPEATED)
        answers = accepted(*self._zoom.deliver_at_once(started, COPIES))
        self._wait_for_recall(REPEATED)
        yield f"Meeting {REPEATED.meeting_id} starts, sent {COPIES} times at once: {answers}."
        yield f"Zoom delivers the same event again: {accepted(self._zoom.deliver(started))}."

        answer = accepted(self._zoom.deliver(events.started(MOVED)))
        self._wait_for_recall(MOVED)
        yield f"Meeting {MOVED.meeting_id} starts: {answer}."
        answer = accepted(self._zoom.deliver(events.failover(MOVED)))
        self._wait_for_recall(MOVED, connections=2)
        yield f"Its media server fails over to another: {answer}."

        self._recall.add_fault(Fault(kind="status", status=503, path="create"))
        answer = accepted(self._zoom.deliver(events.started(DELAYED)))
        self._wait_for_recall(DELAYED)
        yield f"Meeting {DELAYED.meeting_id} starts while Recall answers 503: {answer}."

        self._zoom_api.begin_meeting(BROKEN)
        self._zoom_api.begin_stream(BROKEN)
        self._wait_for_recall(BROKEN)
        yield f"Meeting {BROKEN.meeting_id} starts, and is connected."
        lost_at = time.time()
        self._recall.end_stream(BROKEN.rtms_stream_id)
        self._zoom_api.stop_stream(BROKEN, BROKE_OFF)
        self._wait_for("Zoom to start a new stream", lambda: bool(self._restarted()))
        (restarted,) = self._restarted()
        self._wait_for_recall(restarted)
        self._gap = self._recall.connections[-1].created_at - lost_at
        yield (
            f"Its stream breaks. The server asks Zoom for a new one, which is connected: a gap of "
            f"{self._gap:.1f} s."
        )

        for stream in (REPEATED, MOVED, DELAYED):
            self._recall.end_stream(stream.rtms_stream_id)
            answer = accepted(self._zoom.deliver(events.stopped(stream)))
        self._recall.end_stream(restarted.rtms_stream_id)
        self._zoom_api.end_meeting(BROKEN)
        yield f"The four meetings end: {answer}."

        self._check()
        yield (
            "Recall's webhook says that the recordings are ready. "
            f"All {len(EXPECTED)} rows are as expected, and Recall agrees."
        )

    def _restarted(self) -> list[Stream]:
        return self._zoom_api.meetings.streams(str(BROKEN.meeting_id))

    def _explain(self) -> None:
        stream = DELAYED.rtms_stream_id
        asked = [each.at for each in self._recall.ledger if each.stream_id == stream]
        for paragraph in (
            f"Meeting {REPEATED.meeting_id} was delivered {COPIES + 1} times, {COPIES} of them at "
            "the same time, and connected once (row 1). A second connection to its stream would "
            "have kicked out the first.",
            f"Meeting {MOVED.meeting_id} was connected (row 2). When its media server failed, row "
            "3 connected it to the new one and replaced row 2.",
            f"Meeting {DELAYED.meeting_id} began while Recall answered 503. Zoom got its 200 "
            f"anyway, and the next try, {asked[1] - asked[0]:.1f} s later, connected it (row 4), "
            "well within the 60 seconds that Zoom allows.",
            f"Meeting {BROKEN.meeting_id} lost its stream (row 5). Row 6 goes on with it after a "
            f"gap of {self._gap:.1f} s, because the server asked Zoom's API for a new stream.",
            "The forged delivery left no row. Recall has six connections: none was kicked out, "
            'and each had the right join signature. The lines "At Recall" show Recall\'s id of '
            "the stream and its last known status. Next: the recording.",
        ):
            console.print(f"\n{paragraph}", width=min(console.width, 90))

    def _fetch(self) -> None:
        """Get the video and the transcript of the first meeting."""
        self._show("meetings", "link", "1")
        self._show("meetings", "download", "1", "--kind", "video_mixed", "--to", str(self._videos))
        self._show("meetings", "transcript", "1", "--format", "vtt")
        videos = [path.read_bytes() for path in self._videos.iterdir()]
        original = (MEDIA / "meeting.mp4").read_bytes()
        expect(videos == [original], "The downloaded video differs from Recall's.")
        vtt = self._flask("meetings", "transcript", "1", "--format", "vtt", capture=True)
        expect(vtt.startswith("WEBVTT\n") and " --> " in vtt, f"This is not WebVTT:\n{vtt}")
        console.print("\nThe video is complete, and the captions are WebVTT. Open them:\n")
        LEFT.mkdir(exist_ok=True)
        video, captions = LEFT / "demo.mp4", LEFT / "demo.vtt"
        shutil.copyfile(next(self._videos.iterdir()), video)
        captions.write_text(vtt, "utf-8")
        console.print(f"  video        {video}\n  transcript   {captions}", soft_wrap=True)

    def _keep(self) -> None:
        """Simulate meetings until a signal ends the demo."""
        console.print("\nThe server keeps running. Its dashboard:\n", style="bold")
        console.print(f"  address    {self._url}/", soft_wrap=True)
        console.print(f"  password   {self._password}\n", soft_wrap=True)
        self._exports.write_text(exports(self._environ), "utf-8")
        console.print("For the commands, in a second terminal:\n", style="bold")
        for line in (
            f"cd {shlex.quote(str(ROOT))}",
            f". {shlex.quote(str(self._exports))}",
            "flask meetings list",
        ):
            console.print(f"  {line}", soft_wrap=True)
        console.print(
            "\nFrom now on, meetings start and end, some of them with faults. Ctrl-C ends it.\n"
        )
        traffic = Traffic(self._zoom, self._recall, say_with_time)
        with suppress(SystemExit):  # a signal: continue with the orderly end
            while True:
                ended = self._server.poll()
                expect(ended is None, f"The server ended by itself, with exit code {ended}.")
                time.sleep(min(traffic.run_due(), PROGRESS_SECONDS))

    def _show(self, *words: str) -> None:
        """Show and run one of the project's commands."""
        console.print(f"\n$ flask {' '.join(words)}", style="bold", soft_wrap=True)
        self._flask(*words)

    def _end(self) -> None:
        """Stop the server, and check that it ends without an error."""
        self._zoom.close()
        self._server.terminate()
        self._wait_for("the server to stop", lambda: self._server.poll() is not None)
        code = self._server.returncode
        expect(code == 0, f"The server was asked to stop, and ended with exit code {code}.")
        console.print("\nThe server has stopped. Nothing is left running.")

    def _check(self) -> None:
        faults: list[str] = []

        def right() -> bool:
            listed = self._flask("meetings", "list", "--json", capture=True)
            faults[:] = faults_in(json.loads(listed)[::-1], self._recall.connections)
            return not faults

        try:  # Recall's webhooks, and the server's requests because of them, take a moment
            self._wait_for("the rows to be as expected", right)
        except Trouble as trouble:
            raise Trouble("\n".join([str(trouble), *faults])) from None

    def _ready(self) -> bool:
        with requests.Session() as session, suppress(requests.RequestException):
            session.trust_env = False  # no proxy
            return session.get(f"{self._url}/readyz", timeout=0.9).status_code == 200
        return False

    def _flask(self, *words: str, capture: bool = False) -> str:
        """Run one of the project's commands. It prints here, unless its output is captured."""
        with tempfile.TemporaryFile() as file:
            command, out = ("flask", *words), file if capture else None
            with running(*command, env=self._environ, out=out, err=self._log) as process:
                # No progress, which would appear after the command's own output.
                self._wait_for(" ".join(command), lambda: process.poll() is not None, quiet=True)
            expect(process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}.")
            file.seek(0)
            return file.read().decode()

    def _wait_for_recall(self, stream: Stream, connections: int = 1) -> None:
        def connected() -> bool:
            seen = self._recall.summary().get(stream.rtms_stream_id)
            return seen is not None and seen["created"] >= connections

        self._wait_for(f"meeting {stream.meeting_id} to be connected", connected)

    def _wait_for(
        self,
        what: str,
        happened: Callable[[], bool],
        seconds: float = WAIT_SECONDS,
        *,
        quiet: bool = False,
    ) -> None:
        """Wait until it has happened, or raise Trouble. If that takes long, show a spinner on a
        terminal, and elsewhere a line from time to time."""
        began = said = time.monotonic()
        spinner = console.status(f"waiting for {what}")
        try:
            while not happened():
                ended = self._server.poll()
                expect(ended is None, f"The server ended by itself, with exit code {ended}.")
                now = time.monotonic()
                expect(now < began + seconds, f"Waited {seconds:g} s in vain for {what}.")
                if now > said + PROGRESS_SECONDS and not quiet:
                    said = now
                    if console.is_terminal:
                        spinner.start()
                    else:
                        say(Text("   "), f"... waiting for {what} ({now - began:.0f} s)")
                time.sleep(0.01)
        finally:
            spinner.stop()

    def log_tail(self, lines: int = 120) -> str:
        """Return the end of the server's log."""
        written = Path(self._log.name).read_text("utf-8", "replace").splitlines()
        return "\n".join(written[-lines:])


def say_with_time(line: str) -> None:
    """Print a line with the time."""
    say(Text.assemble((f"{datetime.now().astimezone():%H:%M:%S}  ", "dim")), line)


def say(head: Text, line: str) -> None:
    """Print a line after a head. On a terminal, a long line wraps with a hanging indent."""
    if not console.is_terminal:
        console.print(head + Text(line), soft_wrap=True)
        return
    indent = head.cell_len
    for number, part in enumerate(Text(line).wrap(console, max(console.width - indent, 20))):
        console.print((Text(" " * indent) if number else head) + part, soft_wrap=True)


def exports(environ: dict[str, str]) -> str:
    """Return the demo's settings as shell commands, with its Python first on the PATH."""
    own = {name: text for name, text in environ.items() if name not in KEPT.split()}
    lines = [f"export {name}={shlex.quote(text)}" for name, text in own.items()]
    folder = shlex.quote(str(Path(sys.executable).parent))
    return "\n".join([*lines, f'export PATH={folder}:"$PATH"', ""])


def expect(true: bool, otherwise: str) -> None:
    """Raise Trouble with this message if something is not true."""
    if not true:
        raise Trouble(otherwise)


def accepted(*deliveries: Delivery) -> str:
    """Check that Zoom counts each as delivered, and return the answer in words."""
    for each in deliveries:
        expect(each.ok, f"A delivery was answered {each.status}: {each.error or each.answer}")
    return f"200 in {max(each.seconds for each in deliveries) * 1000:.0f} ms"


def faults_in(rows: Sequence[dict[str, Any]], made: Sequence[Connection]) -> Iterator[str]:
    """Compare the rows and Recall's connections with the expected ones, oldest first.

    Each row must have one connection, and each connection one row: none was connected twice.
    """
    for values, row, connection in zip_longest(EXPECTED, rows, made):
        if values is None:
            which = row["id"] if row else "none"
            yield f"One too many: row {which}, at Recall {connection and connection.id}."
            continue
        name = f"Row {values[0]} (meeting {values[1]})"
        if row is None:
            yield f"{name} is missing."
            continue
        expected = dict(zip(COLUMNS, values, strict=True))
        expected["recall_id"] = connection.id if connection else "the id of a connection"
        expected["rtms_stream_id"] = connection.stream_id if connection else "that one's stream"
        for column, value in expected.items():
            if row[column] != value:
                yield f"{name}: {column} is {row[column]!r}, but should be {value!r}."
        if not row["status"]:
            yield f"{name}: status is {row['status']!r}, but should be Recall's."
    for connection in made:
        if connection.kicked_out:
            yield f"Recall's connection {connection.id} was kicked out by a second one."
        if not connection.signature_ok:
            yield f"Recall's connection {connection.id} had a wrong join signature."


def own_environ() -> dict[str, str]:
    """Return an environment without the settings of the user's shell and of `.env`."""
    no_dotenv = {"PYTHON_DOTENV_DISABLED": "1", "FLASK_SKIP_DOTENV": "1"}
    kept = {name: os.environ[name] for name in KEPT.split() if name in os.environ}
    return kept | no_dotenv | SECRETS


def main() -> None:
    """Run the demo. If it fails, print why and the end of the log to stderr."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep the server running, with its dashboard and simulated meetings",
    )
    keep = parser.parse_args().keep
    for number in LEAVING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
    stack = ExitStack()
    try:
        demo = Demo(stack, keep=keep)
        try:
            demo.run()
        except Trouble as trouble:
            sys.exit(f"\n{trouble}\n\nThe end of the server's log:\n{demo.log_tail()}")
    finally:
        with undisturbed():
            stack.close()


if __name__ == "__main__":
    main()
