"""``make demo``: three meetings, from Zoom's webhook to a video on disk, without any account.

The server is the real one; Zoom and Recall are the stand-ins. Exits 0 only if every row of the
table is what it should be and Recall's side agrees; leaves nothing running, whatever happens, and
in the folder `recordings` one video and one transcript.
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

from sandbox import Delivery, Fault, RecallSandbox, Stream, ZoomSandbox, events
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
# What of the user's shell reaches the server: enough to run Python and to print, and no setting.
KEPT = "PATH HOME LANG LC_ALL LC_CTYPE TERM COLORTERM NO_COLOR COLUMNS TMPDIR LD_LIBRARY_PATH"
WAIT_SECONDS = 30.0  # for the server, a command or a connection, on a machine that is busy
SIGN_OF_LIFE = 1.0  # seconds of waiting after which to say so

COPIES = 4  # that arrive together, as from so many subscriptions to one event
REPEATED = Stream(meeting_id=81111111111)
MOVED = Stream(meeting_id=82222222222)
DELAYED = Stream(meeting_id=83333333333)

# What the table should say in the end, oldest row first; 6: the meeting ended.
COLUMNS = ("id", "meeting_id", "attempts", "stop_reason", "superseded_by", "state", "reason")
EXPECTED = (
    (1, "81111111111", 1, 6, None, "done", None),
    (2, "82222222222", 1, None, 3, "done", None),
    (3, "82222222222", 1, 6, None, "done", None),
    (4, "83333333333", 2, 6, None, "done", None),
)

LEFT = ROOT / "recordings"  # where a video and a transcript stay, to be opened

WHAT_NEXT = """
What next:
{keep}  docs/SETUP.md      the set-up, click by click: Zoom's app, Recall's key
  make .env          the settings of the real server
  make run           the real server"""

KEEP_NEXT = "  make demo KEEP=1   the same, and then a dashboard and commands to try\n"

console = Console(highlight=False, markup=False, emoji=False)


class Trouble(Exception):
    """Something is not as it should be; the message says what."""


class Demo:
    """The server between its two neighbours. What is started goes onto ``stack``."""

    def __init__(self, stack: ExitStack, *, keep: bool = False) -> None:
        """Start the server, in an empty folder; it may not be ready yet.

        With ``keep`` the server stays after the story, until somebody wants it to end.
        """
        self._password = secrets.token_urlsafe(12) if keep else ""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        self._videos = folder / "videos"
        self._exports = folder / "terminal.sh"
        self._log = stack.enter_context((folder / "server.log").open("ab"))
        # The server inherits this socket: nobody else can take its port.
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
            self._environ = own_environ() | {
                "PORT": str(port),
                "WEB_CONCURRENCY": "2",
                "DATABASE_URL": f"sqlite:///{folder / 'rtms.sqlite3'}",
                "RECALL_BASE_URL": self._recall.url,
                "ADMIN_PASSWORD": self._password,
            }
            command = ("gunicorn", "app:app", "--bind", f"fd://{file}")
            self._server = stack.enter_context(
                running(*command, env=self._environ, out=self._log, err=self._log, pass_fds=(file,))
            )
        self._zoom = stack.enter_context(
            ZoomSandbox(f"{self._url}/zoom-webhook", SECRETS["ZOOM_SECRET_TOKEN"])
        )

    def run(self) -> None:
        """Go through the whole story, or raise Trouble."""
        console.print(
            "The real server; Zoom and Recall are stand-ins. On the left: how long each step took. "
            '"200 in 9 ms" is the server\'s answer to Zoom, which waits three seconds for it.\n'
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
        """Do one step after the other, and say of each what happened."""
        self._wait_for("the server to be ready", self._ready)
        yield f"The server is ready at {self._url}, with an empty table."

        validation = self._zoom.validate()
        expect(validation.ok, f"Zoom refuses the endpoint: {validation.reason}.")
        yield "Zoom challenges the endpoint: the answer is right."

        forged = self._zoom.deliver(events.started(Stream()), signature="v0=" + "0" * 64)
        expect(forged.status == 401, f"A forged delivery was answered {forged.status}, not 401.")
        yield "Somebody forges a delivery: 401, refused."

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
        yield f"Its media server fails, and Zoom names another: {answer}."

        self._recall.add_fault(Fault(kind="status", status=503, path="create"))
        answer = accepted(self._zoom.deliver(events.started(DELAYED)))
        self._wait_for_recall(DELAYED)
        yield f"Meeting {DELAYED.meeting_id} starts while Recall answers 503: {answer}."

        for stream in (REPEATED, MOVED, DELAYED):
            self._recall.end_stream(stream.rtms_stream_id)
            answer = accepted(self._zoom.deliver(events.stopped(stream)))
        yield f"The three meetings end: {answer}."

        self._check()
        yield (
            "Recall's webhook says that the recordings are ready. "
            f"All {len(EXPECTED)} rows are what they should be, and Recall's side agrees."
        )

    def _explain(self) -> None:
        stream = DELAYED.rtms_stream_id
        asked = [each.at for each in self._recall.ledger if each.stream_id == stream]
        for paragraph in (
            f"Meeting {REPEATED.meeting_id} was delivered {COPIES + 1} times, {COPIES} of them at "
            "the same instant, and connected once (row 1). A second connection to its stream "
            "would have kicked out the first.",
            f"Meeting {MOVED.meeting_id} was connected (row 2). When its media server failed, row "
            "3 connected it to the new one and took row 2's place.",
            f"Meeting {DELAYED.meeting_id} met a Recall that answered 503. Zoom had its 200 all "
            f"the same, and the next try, {asked[1] - asked[0]:.1f} s later, connected it (row 4), "
            "well inside the 60 seconds that Zoom allows.",
            "The forged delivery left no row. Recall counts four connections; none was kicked "
            "out, and each came with the right join signature. At Recall: the id that Recall gave, "
            "and the status that it last told the server. Next: the recording.",
        ):
            console.print(f"\n{paragraph}", width=min(console.width, 90))

    def _fetch(self) -> None:
        """Turn the first meeting into a video and a transcript."""
        self._show("meetings", "link", "1")
        self._show("meetings", "download", "1", "--kind", "video_mixed", "--to", str(self._videos))
        self._show("meetings", "transcript", "1", "--format", "vtt")
        videos = [path.read_bytes() for path in self._videos.iterdir()]
        original = (MEDIA / "meeting.mp4").read_bytes()
        expect(videos == [original], "The downloaded video is not the one that Recall has.")
        vtt = self._flask("meetings", "transcript", "1", "--format", "vtt", capture=True)
        expect(vtt.startswith("WEBVTT\n") and " --> " in vtt, f"This is no WebVTT:\n{vtt}")
        console.print("\nThe video is whole, to the byte, and the captions are WebVTT. To open:\n")
        LEFT.mkdir(exist_ok=True)
        video, captions = LEFT / "demo.mp4", LEFT / "demo.vtt"
        shutil.copyfile(next(self._videos.iterdir()), video)
        captions.write_text(vtt, "utf-8")
        console.print(f"  video        {video}\n  transcript   {captions}", soft_wrap=True)

    def _keep(self) -> None:
        """Let meetings come and go until a signal says that it is enough."""
        console.print("\nThe server stays. Its dashboard:\n", style="bold")
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
            "\nMeetings come and go from now on, a few of them in trouble. Ctrl-C ends it.\n"
        )
        traffic = Traffic(self._zoom, self._recall, tell_at)
        with suppress(SystemExit):  # a signal: what follows is the orderly end
            while True:
                ended = self._server.poll()
                expect(ended is None, f"The server ended by itself, with exit code {ended}.")
                time.sleep(min(traffic.run_due(), SIGN_OF_LIFE))

    def _show(self, *words: str) -> None:
        """Run one of the project's commands, as somebody would type it."""
        console.print(f"\n$ flask {' '.join(words)}", style="bold", soft_wrap=True)
        self._flask(*words)

    def _end(self) -> None:
        """Let the server leave; one that was about to fall over all the while is found out."""
        self._zoom.close()
        self._server.terminate()
        self._wait_for("the server to leave", lambda: self._server.poll() is not None)
        code = self._server.returncode
        expect(code == 0, f"The server was asked to leave, and ended with exit code {code}.")
        console.print("\nThe server has left; nothing is left running.")

    def _check(self) -> None:
        faults: list[str] = []

        def right() -> bool:
            listed = self._flask("meetings", "list", "--json", capture=True)
            faults[:] = faults_in(json.loads(listed)[::-1], self._recall.connections)
            return not faults

        try:  # Recall's webhooks, and what the server asks because of them, are on their way
            self._wait_for("the rows to be what they should be", right)
        except Trouble as trouble:
            raise Trouble("\n".join([str(trouble), *faults])) from None

    def _ready(self) -> bool:
        with requests.Session() as session, suppress(requests.RequestException):
            session.trust_env = False  # no proxy
            return session.get(f"{self._url}/readyz", timeout=0.9).status_code == 200
        return False

    def _flask(self, *words: str, capture: bool = False) -> str:
        """Run one of the project's commands; it prints here, unless its output is captured."""
        with tempfile.TemporaryFile() as file:
            command, out = ("flask", *words), file if capture else None
            with running(*command, env=self._environ, out=out, err=self._log) as process:
                # No sign of life beside what it, or the one before it, printed: it would come after
                # that.
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
        """Wait until it has happened, or raise Trouble. Where that takes a while, there is a
        spinner on a terminal, which is gone in the end; elsewhere a line now and then."""
        began = said = time.monotonic()
        spinner = console.status(f"waiting for {what}")
        try:
            while not happened():
                ended = self._server.poll()
                expect(ended is None, f"The server ended by itself, with exit code {ended}.")
                now = time.monotonic()
                expect(now < began + seconds, f"Waited {seconds:g} s for {what}, in vain.")
                if now > said + SIGN_OF_LIFE and not quiet:
                    said = now
                    if console.is_terminal:
                        spinner.start()
                    else:
                        say(Text("   "), f"... waiting for {what} ({now - began:.0f} s)")
                time.sleep(0.01)
        finally:
            spinner.stop()

    def log_tail(self, lines: int = 120) -> str:
        """Return the end of what the server wrote."""
        written = Path(self._log.name).read_text("utf-8", "replace").splitlines()
        return "\n".join(written[-lines:])


def tell_at(line: str) -> None:
    """Print a line with the time."""
    say(Text.assemble((f"{datetime.now().astimezone():%H:%M:%S}  ", "dim")), line)


def say(head: Text, line: str) -> None:
    """Print a line behind a head; on a terminal what does not fit goes below its beginning."""
    if not console.is_terminal:
        console.print(head + Text(line), soft_wrap=True)
        return
    indent = head.cell_len
    for number, part in enumerate(Text(line).wrap(console, max(console.width - indent, 20))):
        console.print((Text(" " * indent) if number else head) + part, soft_wrap=True)


def exports(environ: dict[str, str]) -> str:
    """Return the demo's settings as a shell reads them, with its Python first on the PATH."""
    own = {name: text for name, text in environ.items() if name not in KEPT.split()}
    lines = [f"export {name}={shlex.quote(text)}" for name, text in own.items()]
    folder = shlex.quote(str(Path(sys.executable).parent))
    return "\n".join([*lines, f'export PATH={folder}:"$PATH"', ""])


def expect(true: bool, otherwise: str) -> None:
    """Raise Trouble with these words if something is not true."""
    if not true:
        raise Trouble(otherwise)


def accepted(*deliveries: Delivery) -> str:
    """Make sure that Zoom counts each as delivered, and say what the answer was."""
    for each in deliveries:
        expect(each.ok, f"A delivery was answered {each.status}: {each.error or each.answer}")
    return f"200 in {max(each.seconds for each in deliveries) * 1000:.0f} ms"


def faults_in(rows: Sequence[dict[str, Any]], made: Sequence[Connection]) -> Iterator[str]:
    """Compare the table, and Recall's connections, with what should be; oldest first.

    Each row has one connection and each connection its row: nothing was connected twice.
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
                yield f"{name}: {column} is {row[column]!r}, and should be {value!r}."
        if not row["status"]:
            yield f"{name}: status is {row['status']!r}, and should be what Recall said."
    for connection in made:
        if connection.kicked_out:
            yield f"Recall's connection {connection.id} was kicked out by a second one."
        if not connection.signature_ok:
            yield f"Recall's connection {connection.id} came with a wrong join signature."


def own_environ() -> dict[str, str]:
    """Return an environment in which neither the user's shell nor a .env has a say."""
    no_dotenv = {"PYTHON_DOTENV_DISABLED": "1", "FLASK_SKIP_DOTENV": "1"}
    kept = {name: os.environ[name] for name in KEPT.split() if name in os.environ}
    return kept | no_dotenv | SECRETS


def main() -> None:
    """Run the demo; what went wrong, if anything, goes to stderr with the end of the log."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="leave the server up, with its dashboard and traffic"
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
