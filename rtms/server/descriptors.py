"""How many descriptors a process may have: each client is one, and so is each call of Recall."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 4096  # a worker has 1,000 clients, and at most 512 streams that it connects


def allow_enough() -> None:
    """Raise this process's own limit, often 1,024, as far as the system allows. Processes that it
    forks have the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _ENOUGH:
        return
    allowed = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    with suppress(OSError, ValueError):  # a system may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
