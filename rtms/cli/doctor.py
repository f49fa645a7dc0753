"""The command `doctor`, which checks a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from rtms.cli.options import as_json
from rtms.cli.output import Command, answer
from rtms.cli.waiting import Waiting
from rtms.services import Services, get_services

if TYPE_CHECKING:
    from rtms.doctor.finding import Finding


@click.command("doctor", cls=Command, unanswered={"ok": False, "findings": []})
@as_json
@with_appcontext
def doctor(as_json: bool) -> None:
    """Check everything the server depends on, and say how to fix what is wrong. It changes nothing.
    Exit 1 if a check failed."""
    # Imported here: the checks load nearly everything, which would slow down the other commands.
    from rtms.cli.doctor_report import Screen
    from rtms.cli.doctor_report import as_json as in_json
    from rtms.doctor.finding import Grade, secrets_of, without_secrets

    services = get_services()
    secrets = secrets_of(services.config)
    screen = None if as_json else Screen()
    findings = []
    for found in _found(services):
        finding = without_secrets(found, secrets)
        findings.append(finding)
        if screen:
            screen.show(finding)
    if screen:
        screen.sum_up(findings)
    else:
        answer(in_json(findings))
    if any(finding.grade == Grade.FAILURE for finding in findings):
        raise click.exceptions.Exit(1)


def _found(services: Services) -> Iterator[Finding]:
    """Yield each finding as it comes, and show the name of a check that is slow."""
    from rtms.doctor import checks
    from rtms.doctor.runner import run

    waiting = Waiting()
    findings = run(checks(services), report=waiting.say)
    while True:
        waiting.say("")
        with waiting:
            found = next(findings, None)
        if found is None:
            return
        yield found
