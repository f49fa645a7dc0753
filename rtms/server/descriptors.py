"""The limit of open descriptors. Each client needs one, and so does each call of Recall."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 4096  # for 1,000 clients and 512 connects in a worker


def allow_enough() -> None:
    """Raise this process's own limit, often 1,024, as far as the system allows. The processes that
    it forks inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _ENOUGH:
        return
    allowed = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    with suppress(OSError, ValueError):  # some systems allow less than they report
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
