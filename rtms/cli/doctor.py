"""The command that looks at a deployment and says what is wrong with it."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from rtms import tables
from rtms.cli.options import as_json
from rtms.cli.output import Command
from rtms.services import services


@click.command("doctor", cls=Command)
@as_json
@with_appcontext
def doctor(as_json: bool) -> None:
    """Try everything the server depends on, and say what to do about what is wrong. Exit 1 where
    something failed. It changes nothing."""
    # Here, not above: the checks need nearly everything, and other commands nearly nothing.
    from rtms.doctor import checks
    from rtms.doctor.finding import Grade, secrets_of, without_secrets
    from rtms.doctor.report import Screen
    from rtms.doctor.report import as_json as in_json
    from rtms.doctor.run import run

    its = services()
    secrets = secrets_of(its.config)
    screen = None if as_json else Screen()
    findings = []
    for found in run(checks(its), tell=lambda line: click.echo(line, err=True)):
        finding = without_secrets(found, secrets)
        findings.append(finding)
        if screen:
            screen.show(finding)
    if screen:
        screen.sum_up(findings)
    else:
        tables.print_json(in_json(findings))
    if any(finding.grade == Grade.FAILURE for finding in findings):
        raise click.exceptions.Exit(1)
