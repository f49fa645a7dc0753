"""Explains errors of writing to a disk."""

from __future__ import annotations

import errno

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than the system allows (ulimit -f)",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing to the folder is not permitted",
    errno.EPERM: "writing to the folder is not permitted",
    errno.ELOOP: "a symbolic link is in the way",
    errno.ENAMETOOLONG: "its name is too long",
}


def why(error: OSError) -> str:
    """Return why something could not be written."""
    return _WORDS.get(error.errno or 0, error.strerror or type(error).__name__)
