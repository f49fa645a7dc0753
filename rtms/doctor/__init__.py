"""Checks a deployment, and says how to fix what is wrong: `flask doctor`."""

from __future__ import annotations

from rtms.doctor import activity, configuration, connections, database, public_url, recall, zoom_api
from rtms.doctor.runner import Check
from rtms.http import proxies
from rtms.services import Services


def checks(services: Services) -> list[Check]:
    """Return the checks, each before those that depend on it."""
    return [
        Check(
            "configuration",
            2,
            lambda: configuration.look(services.config, proxies.problems(services.config)),
        ),
        Check("database", 6, lambda: database.look(services)),
        Check("connections", 6, lambda: connections.look(services)),
        Check("Recall", 10, lambda: recall.look(services.config)),
        Check("Zoom's API", 22, lambda: zoom_api.look(services)),
        Check("public address", 20, lambda: public_url.look(services.config)),
        Check("processes", 6, lambda: activity.look_at_processes(services)),
        Check("meetings", 6, lambda: activity.look_at_meetings(services)),
    ]
