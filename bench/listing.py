"""Times `flask meetings list`: `python -m bench.listing TIMES`, in the server's environment.

The command runs repeatedly in one process, so that Python's start, which takes much longer, is not
measured. The seconds of each run are printed as JSON.
"""

from __future__ import annotations

import json
import sys
import time

from app import create_app


def main(times: int) -> None:
    """Run it once to warm up, and then this many times."""
    runner = create_app().test_cli_runner()
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        result = runner.invoke(args=["meetings", "list"])
        took.append(time.perf_counter() - began)
        if result.exit_code != 0:
            sys.exit(f"`meetings list` ended with {result.exit_code}: {result.output}")
    sys.stdout.write(json.dumps(took[1:]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
