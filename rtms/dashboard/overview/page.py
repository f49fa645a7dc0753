"""The overview: whether meetings are being captured now, which failed, why, and what to do."""

from __future__ import annotations

from flask import Flask, current_app, render_template
from flask.blueprints import BlueprintSetupState

from rtms import clock
from rtms.dashboard.blueprint import blueprint
from rtms.dashboard.overview import charts, headline, snapshot
from rtms.dashboard.overview.cache import Latest
from rtms.dashboard.overview.snapshot import OverviewSnapshot
from rtms.services import get_services

_LATEST = "rtms_overview"  # among the app's extensions


@blueprint.record
def _add_cache(state: BlueprintSetupState) -> None:
    """Cache the snapshot: many browsers may have the page open, and each refreshes it often."""
    assert isinstance(state.app, Flask)
    state.app.extensions[_LATEST] = Latest[OverviewSnapshot]()


@blueprint.get("/")
def overview() -> str:
    """Show the first page. `refresh.js` requests it every few seconds."""
    services = get_services()

    def read() -> OverviewSnapshot:
        with services.database.read() as connection:
            return snapshot.read(connection, now=clock.now())

    latest: Latest[OverviewSnapshot] = current_app.extensions[_LATEST]
    found = latest.get(read)
    return render_template(
        "overview.html",
        snapshot=found,
        headline=headline.headline_of(found),
        starts=charts.starts(found.history.hours),
        connect_times=charts.connect_times(
            found.connect_seconds, window=services.config.connect_window_seconds
        ),
        chart_height=charts.HEIGHT,
        chart_top=charts.TOP,
    )
