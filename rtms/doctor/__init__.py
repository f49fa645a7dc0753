"""Checks a deployment, and says how to fix what is wrong: `flask doctor`."""

from __future__ import annotations

from rtms.doctor import activity, configuration, connections, database, public_url, recall
from rtms.doctor.runner import Check
from rtms.recall import proxies
from rtms.services import Services


def checks(its: Services) -> list[Check]:
    """Return the checks, each before those that depend on it."""
    return [
        Check(
            "configuration", 2, lambda: configuration.look(its.config, proxies.problems(its.config))
        ),
        Check("database", 6, lambda: database.look(its)),
        Check("connections", 6, lambda: connections.look(its)),
        Check("Recall", 10, lambda: recall.look(its.config)),
        Check("public address", 20, lambda: public_url.look(its.config)),
        Check("processes", 6, lambda: activity.look_at_processes(its)),
        Check("meetings", 6, lambda: activity.look_at_meetings(its)),
    ]
