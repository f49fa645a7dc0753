"""The dashboard: pages for whoever is on call, behind ADMIN_PASSWORD."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("dashboard", __name__, template_folder="templates")
