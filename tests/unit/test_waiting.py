"""What is said while a command waits: nothing of it is left beside its output."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Waits for a line on stdin, and then prints what it waited for.
WAITS = """
from rtms.cli.waiting import Waiting
with Waiting("Asking Recall", patience={patience}):
    input()
print("the answer", flush=True)
"""


def code(patience: float) -> list[str]:
    return [sys.executable, "-c", WAITS.format(patience=patience)]


def test_elsewhere_than_on_a_terminal_it_is_a_plain_line() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        code(0), cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as ran:
        assert ran.stderr and ran.stderr.readline() == "Asking Recall ...\n"
        assert ran.communicate("\n", timeout=60) == ("the answer\n", "")


def test_what_is_over_soon_is_not_announced() -> None:
    ran = subprocess.run(code(30), cwd=ROOT, input="\n", capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("the answer\n", "")


def test_on_a_terminal_it_is_erased_before_the_output() -> None:
    ours, its = pty.openpty()
    try:
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        with subprocess.Popen(
            code(0), cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=its, stderr=its, text=True
        ) as ran:
            os.close(its)
            before = b""
            while b"Asking Recall" not in before:
                before += os.read(ours, 4096)
            assert ran.stdin
            ran.stdin.write("\n")
            ran.stdin.flush()
            told = before
            while b"the answer" not in told:
                told += os.read(ours, 4096)
            assert ran.wait(60) == 0
    finally:
        os.close(ours)
    waiting, _, after = told.partition(b"the answer")
    assert waiting.rindex(b"\x1b[2K") > waiting.rindex(b"Asking Recall")  # the line was erased
    assert b"Asking" not in after
