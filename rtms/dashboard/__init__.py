"""The dashboard: pages for the operator, behind ADMIN_PASSWORD."""

from __future__ import annotations

# Importing these registers their routes, template filters and request hooks with the blueprint.
from rtms.dashboard import (  # noqa: F401
    errors,
    events,
    filters,
    list_filters,
    name_filters,
    state_filters,
    static,
)
from rtms.dashboard.auth import guard, login  # noqa: F401
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.meetings import detail, list, playback  # noqa: F401
from rtms.dashboard.overview import page  # noqa: F401

__all__ = ["blueprint"]
