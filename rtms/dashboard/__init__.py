"""The dashboard: pages for whoever is on call, behind ADMIN_PASSWORD."""

from __future__ import annotations

from rtms.dashboard import (
    auth,
    errors,
    events,
    guard,
    listing,
    meeting,
    meetings,
    names,
    notice,
    overview,
    playback,
    states,
    static,
    words,
)
from rtms.dashboard.blueprint import blueprint

# These register their routes and what stands before and behind each.
__all__ = [
    "auth",
    "blueprint",
    "errors",
    "events",
    "guard",
    "listing",
    "meeting",
    "meetings",
    "names",
    "notice",
    "overview",
    "playback",
    "states",
    "static",
    "words",
]
