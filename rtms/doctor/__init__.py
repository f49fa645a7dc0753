"""Looks at a deployment and says what is wrong with it, and what to do: `flask doctor`."""

from __future__ import annotations

from rtms import proxies
from rtms.doctor import capacity, endpoint, settings, storage, work, workspace
from rtms.doctor.run import Check
from rtms.services import Services


def checks(its: Services) -> list[Check]:
    """Everything that is looked at, in the order in which a person would."""
    return [
        Check("configuration", 2, lambda: settings.look(its.config, proxies.problems(its.config))),
        Check("database", 6, lambda: storage.look(its)),
        Check("connections", 6, lambda: capacity.look(its)),
        Check("Recall", 10, lambda: workspace.look(its.config)),
        Check("public address", 20, lambda: endpoint.look(its.config)),
        Check("processes", 6, lambda: work.look_at_processes(its)),
        Check("meetings", 6, lambda: work.look_at_meetings(its)),
    ]
