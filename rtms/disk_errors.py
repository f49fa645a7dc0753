"""What a disk refuses, in plain words."""

from __future__ import annotations

import errno

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than the system allows (ulimit -f)",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "the folder must not be written to",
    errno.EPERM: "the folder must not be written to",
    errno.ELOOP: "a symbolic link lies in its way",
    errno.ENAMETOOLONG: "its name is too long",
}


def why(error: OSError) -> str:
    """Return why something could not be written."""
    return _WORDS.get(error.errno or 0, error.strerror or type(error).__name__)
