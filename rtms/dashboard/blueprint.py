"""The blueprint that the dashboard's routes hang on. Without ADMIN_PASSWORD it has no routes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, abort
from flask.sansio.app import App

from rtms.dashboard.auth import sessions
from rtms.services import get_services

WRONG_METHOD = "wrong_method"
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


class _Dashboard(Blueprint):
    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register with an app if ADMIN_PASSWORD is set. Otherwise the dashboard's paths are
        unknown."""
        assert isinstance(app, Flask)
        config = get_services(app).config
        if config.admin_password is None:
            return
        sessions.init_app(app, config)
        super().register(app, options)
        self._answer_wrong_methods(app)

    def _answer_wrong_methods(self, app: Flask) -> None:
        """Add a rule to each path for the methods that it does not accept, so that these requests
        are guarded too and get an error page."""
        known: dict[str, set[str]] = {}
        for rule in app.url_map.iter_rules():
            if rule.endpoint.startswith(f"{self.name}."):
                known.setdefault(rule.rule, set()).update(rule.methods or ())

        def refuse(**_values: Any) -> Response:
            abort(405)

        for path, methods in known.items():
            app.add_url_rule(
                path,
                f"{self.name}.{WRONG_METHOD}",
                refuse,
                methods=_METHODS - methods,
                provide_automatic_options=False,
            )


blueprint = _Dashboard("dashboard", __name__, template_folder="templates")
