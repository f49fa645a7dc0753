"""Checks the kind of file system that a file is on, and its free space."""

from __future__ import annotations

import re
from pathlib import Path

from rtms.doctor.finding import Finding, failure, ok, warning

_MOUNTS = Path("/proc/mounts")  # Linux
_MEBIBYTE = 1024**2
_LITTLE = 1024 * _MEBIBYTE
_TOO_LITTLE = 100 * _MEBIBYTE

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|smb3|afs|ceph|glusterfs|lustre|beegfs|ocfs2|gfs2|9p|"
    r"fuse\.(sshfs|s3fs|gcsfuse|glusterfs|rclone|blobfuse2?|goofys|mount-s3)"
)
_IN_MEMORY = ("tmpfs", "ramfs")
_IN_A_CONTAINER = ("overlay", "aufs")


def mounts() -> str | None:
    """Return the text of `/proc/mounts`, or None if it cannot be read."""
    try:
        return _MOUNTS.read_text(errors="replace")
    except OSError:
        return None


def kind_of(folder: Path, mounts: str) -> str | None:
    """Return the kind of file system that a folder is on.

    Args:
        folder: an absolute path.
        mounts: the text of `/proc/mounts`.
    """
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # Blanks are written as octal escapes.
        place = Path(re.sub(r"\\(\d{3})", lambda each: chr(int(each[1], 8)), fields[1]))
        # The last file system mounted on a path hides the others.
        if folder.is_relative_to(place) and (best is None or len(place.parts) >= best[0]):
            best = (len(place.parts), fields[2])
    return best[1] if best else None


def trouble_with(kind: str) -> str | None:
    """Return why a database must not be on this kind of file system, or None."""
    if _NETWORK.fullmatch(kind):
        return "a network share, and SQLite cannot rely on its locks and writes"
    if kind in _IN_MEMORY:
        return "in memory, and lost when the machine restarts"
    if kind in _IN_A_CONTAINER:
        return "a container's own layer, and lost with the container"
    return None


def judge_room(folder: Path, free: int) -> Finding:
    """Return whether there is enough free space."""
    found = f"{size_text(free)} are free in {folder}."
    next_step = "Free disk space, or delete old rows (RETENTION_DAYS, `flask events prune`)."
    if free < _TOO_LITTLE:
        return failure("disk", f"Only {found}", next_step)
    if free < _LITTLE:
        return warning("disk", found, next_step)
    return ok("disk", found)


def size_text(count: int) -> str:
    """Return a number of bytes with a suitable unit."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
