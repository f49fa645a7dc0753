"""The media behind pre-signed links, and the links themselves."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from urllib.parse import parse_qs

FOLDER = Path(__file__).parent / "media"
TYPES = {
    ".mp4": "video/mp4",
    ".mp3": "audio/mpeg",
    ".raw": "application/octet-stream",
    ".json": "application/json",
}
CHUNK = 1 << 20  # bytes


@lru_cache(maxsize=1)
def _noise() -> bytes:
    """Return one MiB that looks random and is the same in every process."""
    return Random("sandbox").randbytes(CHUNK)


def synthetic(start: int, stop: int) -> Iterator[bytes]:
    """Yield bytes [start, stop) of the synthetic video, which any process can reproduce.

    Every MiB is the same noise after its own number (8 bytes, big-endian), so that a digest shows
    whether a chunk is missing, repeated or swapped.
    """
    noise = _noise()
    while start < stop:
        number, offset = divmod(start, CHUNK)
        chunk = number.to_bytes(8, "big") + noise[8:]
        piece = chunk[offset : offset + stop - start]
        yield piece
        start += len(piece)


@dataclass(frozen=True)
class Slice:
    """Bytes [start, stop) of a medium, which need not all be in memory."""

    medium: "Medium"
    start: int
    stop: int
    partial: bool = False  # requested by a Range

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self.stop - self.start

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, at most a MiB at a time."""
        if self.medium.content is None:
            return synthetic(self.start, self.stop)
        return iter((self.medium.content[self.start : self.stop],))


@dataclass(frozen=True)
class Medium:
    """One downloadable file."""

    size: int  # bytes
    content_type: str
    etag: str
    content: bytes | None = None  # None: synthetic

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, name: str, video_bytes: int | None) -> "Medium | None":
        """Return the file with this name. With ``video_bytes``, a video is synthetic."""
        kind = TYPES.get(Path(name).suffix, "application/octet-stream")
        if video_bytes is not None and name.endswith(".mp4"):
            return cls(video_bytes, kind, f'"synthetic-{video_bytes}"')
        path = FOLDER / name
        if path.parent != FOLDER or path.suffix not in TYPES or not path.is_file():
            return None
        content = path.read_bytes()
        return cls(len(content), kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"', content)

    def part(self, wanted: str | None) -> Slice | None:
        """Return what a Range header requests, or None if it is outside the medium (416).

        No header, several ranges or another unit mean all of it (RFC 9110, 14.2).
        """
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
        if match is None or match.groups() == ("", ""):
            return Slice(self, 0, self.size)
        first, last = match.groups()
        if first == "":
            start, stop = max(0, self.size - int(last)), self.size
        else:
            start, stop = int(first), min(self.size, int(last or self.size) + 1)
            if last and int(last) < start:
                return Slice(self, 0, self.size)
        return Slice(self, start, stop, partial=True) if start < stop else None


class Links:
    """Creates and checks pre-signed links. Anyone who has one can read the medium."""

    def __init__(self, seconds: float) -> None:
        """Create links that last this many seconds, with a key of this process."""
        self.seconds = seconds
        self._keys = [secrets.token_bytes(32)]  # the last one signs, links of the others expired

    def make(self, medium_id: str, name: str) -> str:
        """Return the path and query of a new link."""
        expires = f"{time.time() + self.seconds:.3f}"
        signature = self._sign(self._keys[-1], medium_id, name, expires)
        return f"/media/{medium_id}/{name}?expires={expires}&signature={signature}"

    def refuse(self, medium_id: str, name: str, query: str) -> str | None:
        """Return why a link is invalid, in S3's words; None if it is valid."""
        asked = parse_qs(query)
        expires, signature = (asked.get(each, [""])[0] for each in ("expires", "signature"))
        for age, key in enumerate(reversed(self._keys)):
            if hmac.compare_digest(
                self._sign(key, medium_id, name, expires).encode(), signature.encode()
            ):
                late = age > 0 or time.time() >= float(expires)
                return "Request has expired" if late else None
        return "The request signature we calculated does not match the signature you provided."

    def expire(self) -> None:
        """Expire every link created so far."""
        self._keys.append(secrets.token_bytes(32))

    @staticmethod
    def _sign(key: bytes, medium_id: str, name: str, expires: str) -> str:
        message = f"{medium_id}/{name}\n{expires}"
        return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()
