"""How long the chaos lasts, how it is chosen, and who it happens to.

CHAOS_ROUNDS: how often processes are killed, on each engine.
CHAOS_SEED: the choices of an earlier run, as a failure shows it.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator

import pytest

from tests.chaos.client import Client, client_of
from tests.servers import Server


@pytest.fixture
def rounds() -> int:
    """How many rounds a test has."""
    return int(os.environ.get("CHAOS_ROUNDS") or 3)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What is left to chance. A failure says how to have it again."""
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(2**32))
    request.node.add_report_section("setup", "seed", f"CHAOS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with client_of(server) as client:
        yield client
