"""Looks at a deployment and says what is wrong with it, and what to do: `flask doctor`."""

from __future__ import annotations

from rtms.doctor import activity, configuration, connections, database, public_url, recall
from rtms.doctor.runner import Check
from rtms.recall import proxies
from rtms.services import Services


def checks(its: Services) -> list[Check]:
    """Everything that is looked at, in the order in which a person would."""
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
