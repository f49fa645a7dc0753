"""The dashboard: pages for the operator, behind ADMIN_PASSWORD."""

from __future__ import annotations

# Importing these registers their routes, template filters and request hooks with the blueprint.
from rtms.dashboard import errors, events, static  # noqa: F401
from rtms.dashboard.auth import guard, login  # noqa: F401
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.meetings import detail, list, playback  # noqa: F401
from rtms.dashboard.overview import page  # noqa: F401
from rtms.dashboard.template_filters import amounts, lists, names, states  # noqa: F401

__all__ = ["blueprint"]
