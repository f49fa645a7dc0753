"""Which module may import which. Imports inside functions and for the type checker count, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from config import ROOT

# From the top down. A module imports from lower rows and from its own package; packages of one row
# do not import each other.
ROWS = (
    ("gunicorn_conf",),
    ("app",),
    ("rtms.cli", "rtms.server"),
    ("rtms.web", "rtms.dashboard", "rtms.doctor"),
    ("rtms.services",),
    ("rtms.jobs",),
    ("rtms.intake",),
    (
        "rtms.recordings",
        "rtms.monitoring",
        "rtms.states",
        "rtms.stream_requests",
        "rtms.zoom_users",
    ),
    ("rtms.zoom", "rtms.recall", "rtms.queue"),
    ("rtms.db", "rtms.http"),
    ("rtms.rows", "rtms.logs", "rtms.stderr", "rtms.signals", "rtms.payload", "rtms.disk_errors"),
    ("rtms.restart_chain",),
    ("rtms.stream_gap",),
    ("rtms.clock", "rtms.backoff", "rtms.text"),
    ("models", "config", "rtms.text_breaks"),
    ("rtms.configuration",),
)
# What the rows would allow.
NEVER = {
    "rtms.zoom": ("rtms.db", "flask"),
    "rtms.intake": ("rtms.recall.client",),
    "rtms.cli": ("rtms.web", "rtms.dashboard"),
    "rtms.server": ("rtms.web", "rtms.dashboard", "rtms.doctor"),
    "rtms": ("sandbox", "bench", "tests"),
    "sandbox": ("rtms", "models", "config", "app"),
}
OF_THE_SERVER = ("gunicorn", "gevent")

Imports = Mapping[str, frozenset[str]]


def imports() -> Imports:
    """Return what each module of the product and of the sandbox imports, by its full name."""
    paths = [*ROOT.glob("rtms/**/*.py"), *ROOT.glob("sandbox/**/*.py")]
    paths += [ROOT / name for name in ("app.py", "config.py", "models.py", "gunicorn.conf.py")]
    modules = {_name(path): path for path in paths}
    return {
        name: frozenset(_imported(ast.parse(path.read_text()), modules))
        for name, path in modules.items()
    }


def _name(path: Path) -> str:
    if path.name == "gunicorn.conf.py":
        return "gunicorn_conf"
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports are absolute here"
            for each in node.names:
                submodule = f"{node.module}.{each.name}"
                yield submodule if submodule in modules else node.module


def _is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _place(module: str) -> tuple[int, str] | None:
    """Return the row of a module, counted from the top, and its package there."""
    return next(
        (
            (number, package)
            for number, row in enumerate(ROWS)
            for package in row
            if _is_in(module, package)
        ),
        None,
    )


def breaches(graph: Imports) -> list[str]:
    """Return the imports that are not allowed."""
    return [
        f"{module} imports {imported}"
        for module, all_imported in graph.items()
        for imported in sorted(all_imported)
        if _is_breach(module, imported)
    ]


def _is_breach(module: str, imported: str) -> bool:
    if any(_is_in(imported, each) for each in OF_THE_SERVER):
        return not (module == "gunicorn_conf" or _is_in(module, "rtms.server"))
    for package, banned in NEVER.items():
        if _is_in(module, package) and any(_is_in(imported, each) for each in banned):
            return True
    importer, target = _place(module), _place(imported)
    if importer is None or target is None or importer == target:
        return False
    return target[0] <= importer[0]


def test_every_module_has_its_row() -> None:
    placed = (module for module in imports() if not _is_in(module, "sandbox") and module != "rtms")
    assert [module for module in placed if _place(module) is None] == []


def test_no_module_imports_what_it_must_not() -> None:
    assert breaches(imports()) == []


def test_no_modules_import_each_other() -> None:
    graph = imports()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' imports '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("rtms.queue.leases", "rtms.recall.client"),
        ("rtms.queue.dispatcher", "rtms.jobs.connect.job"),
        ("rtms.zoom.events", "rtms.recall.client"),
        ("rtms.recall.client", "rtms.zoom.signature"),
        ("rtms.zoom.events", "rtms.db.database"),
        ("rtms.zoom.signature", "flask"),
        ("rtms.intake.handlers", "rtms.recall.client"),
        ("rtms.intake.handlers", "rtms.jobs.follow.job"),
        ("rtms.web.health", "gunicorn.workers.gthread"),
        ("rtms.db.group_commit", "gevent"),
        ("rtms.rows", "rtms.db.database"),
        ("rtms.dashboard.paging", "rtms.cli.tables"),
        ("rtms.cli.meetings", "rtms.dashboard.paging"),
        ("rtms.rows", "rtms.services"),
        ("models", "rtms.clock"),
        ("sandbox.recall", "rtms.text"),
    ],
)
def test_a_breach_is_found(module: str, imported: str) -> None:
    assert breaches({module: frozenset({imported})}) == [f"{module} imports {imported}"]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("rtms.cli.doctor", "rtms.doctor.runner"),
        ("rtms.server.worker", "gevent.threadpool"),
        ("gunicorn_conf", "gunicorn.config"),
        ("rtms.intake.columns", "rtms.recall.idempotency"),
        ("rtms.jobs.connect.job", "rtms.jobs.notify.outbox"),
        ("rtms.dashboard.paging", "flask"),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, imported: str) -> None:
    assert breaches({module: frozenset({imported})}) == []
