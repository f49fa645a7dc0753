"""The command that looks at a deployment and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from rtms.cli.options import as_json
from rtms.cli.output import Command, answer
from rtms.cli.waiting import Waiting
from rtms.services import Services, services

if TYPE_CHECKING:
    from rtms.doctor.finding import Finding


@click.command("doctor", cls=Command, unanswered={"ok": False, "findings": []})
@as_json
@with_appcontext
def doctor(as_json: bool) -> None:
    """Try everything the server depends on, and say what to do about what is wrong. Exit 1 where
    something failed. It changes nothing."""
    # Here, not above: the checks need nearly everything, and other commands nearly nothing.
    from rtms.cli.doctor_report import Screen
    from rtms.cli.doctor_report import as_json as in_json
    from rtms.doctor.finding import Grade, secrets_of, without_secrets

    its = services()
    secrets = secrets_of(its.config)
    screen = None if as_json else Screen()
    findings = []
    for found in _found(its):
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


def _found(its: Services) -> Iterator[Finding]:
    """What the checks find, as they find it; one that is slow is named meanwhile."""
    from rtms.doctor import checks
    from rtms.doctor.runner import run

    waiting = Waiting()
    findings = run(checks(its), tell=waiting.say)
    while True:
        waiting.say("")
        with waiting:
            found = next(findings, None)
        if found is None:
            return
        yield found
