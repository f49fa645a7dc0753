"""What a file lies on, and how much room there is."""

from __future__ import annotations

import re
import shutil
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
    """What is mounted where, as Linux says it; None where it cannot be told."""
    try:
        return _MOUNTS.read_text(errors="replace")
    except OSError:
        return None


def kind_of(folder: Path, mounts: str) -> str | None:
    """The kind of file system that a folder is on.

    Args:
        folder: an absolute path.
        mounts: the text of `/proc/mounts`.
    """
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # A blank and its like are written as octal escapes.
        place = Path(re.sub(r"\\(\d{3})", lambda each: chr(int(each[1], 8)), fields[1]))
        # The last one mounted on a place is the one that is seen.
        if folder.is_relative_to(place) and (best is None or len(place.parts) >= best[0]):
            best = (len(place.parts), fields[2])
    return best[1] if best else None


def trouble_with(kind: str) -> str | None:
    """Why a table should not lie on such a file system; None where it may."""
    if _NETWORK.fullmatch(kind):
        return "a network share, whose locks and writes SQLite cannot rely on"
    if kind in _IN_MEMORY:
        return "in memory, and gone when the machine restarts"
    if kind in _IN_A_CONTAINER:
        return "a container's own layer, and gone with the container"
    return None


def free_bytes(folder: Path) -> int:
    """How much may still be written there."""
    return shutil.disk_usage(folder).free


def judge_room(folder: Path, free: int) -> Finding:
    """Whether there is room for more meetings."""
    found = f"{size_text(free)} are free in {folder}."
    next_step = "Free some, or delete old rows (RETENTION_DAYS, `flask events prune`)."
    if free < _TOO_LITTLE:
        return failure("disk", f"Only {found}", next_step)
    if free < _LITTLE:
        return warning("disk", found, next_step)
    return ok("disk", found)


def size_text(count: int) -> str:
    """Return a size (bytes) in the unit that suits it."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
