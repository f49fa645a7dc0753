"""The alerts and the dashboard ask for what /metrics says, and the documents name all of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from config import ROOT
from rtms import clock
from rtms.db.database import AnyRow
from rtms.monitoring.counters import Counts
from rtms.monitoring.prometheus import Exposition
from rtms.monitoring.snapshot import Snapshot
from rtms.queue.leases import Depth
from tests.prometheus import Scraped

ALERTS = ROOT / "docs" / "alerts.yml"
DASHBOARD = ROOT / "docs" / "grafana.json"
DOCUMENT = ROOT / "docs" / "METRICS.md"

_SELECTOR = re.compile(r"\b(rtms_[a-z0-9_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


def everything() -> Scraped:
    """All that /metrics can say."""
    now = clock.now()
    gate = SimpleNamespace(
        name="create",
        closed_until=now,
        creates=30,
        seconds=60.0,
        learned_at=now - timedelta(seconds=1),
        confirmed=0,
    )
    snapshot = Snapshot(
        now=now,
        schema_is_ok=True,
        queues={
            lane: Depth(due=1, leased=0, oldest_seconds=1.5)
            for lane in ("connect", "refresh", "notify", "archive")
        },
        last_delivery=now,
        last_start=now,
        gates=[cast(AnyRow, gate)],
    )
    own = {
        "name": "host:1:abc",
        "kind": "web",
        "dispatches": True,
        "started_at": now,
        "counts": Counts().snapshot(),
    }
    registry = CollectorRegistry()
    registry.register(Exposition(snapshot, own))
    return Scraped(generate_latest(registry).decode())


TOLD = everything()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    targets = [target for panel in panels() for target in panel.get("targets", ())]
    return [each["expr"] for each in (*rules(), *targets)]


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_what_there_is(expression: str) -> None:
    assert expression.count("(") == expression.count(")")
    selectors = _SELECTOR.findall(expression)
    assert selectors
    labels: set[str] = {"le"}
    for name, matchers in selectors:
        samples = TOLD.all(name)
        assert samples, f"/metrics has no {name}"
        labels |= set(samples[0].labels)
        for label, operator, wanted in _MATCHER.findall(matchers):
            values = {sample.labels[label] for sample in samples}
            alternatives = wanted.split("|") if operator in ("=~", "!~") else [re.escape(wanted)]
            for each in alternatives:
                assert any(re.fullmatch(each, value) for value in values), (name, label, each)
    for group in _GROUPING.findall(expression):
        assert {label.strip() for label in group.split(",") if label.strip()} <= labels


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 15
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert 10 < len(rule["annotations"]["summary"]) < 100
        assert len(rule["annotations"]["description"]) > 80
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_promtool_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: only names, labels and parentheses were checked")
    checked = subprocess.run(
        [promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["id"] is None  # else it would replace another one
    (variable,) = dashboard["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    wanted = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    drawn = [panel for panel in panels() if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in drawn:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == wanted
        assert all(target["datasource"] == wanted for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_panel_covers_another() -> None:
    places = [panel["gridPos"] for panel in panels()]
    covered = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24


def test_the_document_names_every_metric_and_every_alert() -> None:
    document = DOCUMENT.read_text()
    for family in TOLD.families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{name}`" in document, name
    for rule in rules():
        assert f"`{rule['alert']}`" in document, rule["alert"]


def test_the_document_names_nothing_that_is_not_there() -> None:
    names = {family.name for family in TOLD.families} | TOLD.names
    for name in re.findall(r"`(rtms_[a-z0-9_]+)", DOCUMENT.read_text()):
        assert name in names, name
    alerts = {rule["alert"] for rule in rules()}
    assert set(re.findall(r"`(Rtms\w+)`", DOCUMENT.read_text())) <= alerts
