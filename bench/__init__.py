"""The benchmark: `python -m bench --help`. It measures; it never fails a build."""
