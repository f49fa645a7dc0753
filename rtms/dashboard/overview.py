"""The overview: are meetings being captured right now, which one failed, why, and what to do."""

from __future__ import annotations

from flask import render_template

from rtms import clock
from rtms.dashboard import charts, standing, verdict
from rtms.dashboard.blueprint import blueprint
from rtms.services import services


@blueprint.get("/")
def overview() -> str:
    """The first page. It is asked for again every few seconds (`refresh.js`)."""
    its = services()
    with its.database.read() as connection:
        found = standing.read(connection, now=clock.now())
    return render_template(
        "overview.html",
        standing=found,
        verdict=verdict.judge(found),
        starts=charts.starts(found.history.hours),
        connect_times=charts.connect_times(
            found.connect_seconds, window=its.config.connect_window_seconds
        ),
        chart_height=charts.HEIGHT,
        chart_top=charts.TOP,
    )
