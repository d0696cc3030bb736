"""The body of one response on its way: pieces as they arrive, unpacked when they are read. Pure."""

import zlib
from collections import deque

_AT_ONCE = 4096  # packed bytes; they unpack to a few megabytes at most
_GZIP_OR_ZLIB = 47


class Body:
    """Holds what arrived and was not read. What a packed body unpacks to is bounded by how much is asked for."""

    __slots__ = ("_pieces", "_unpack", "size")

    def __init__(self) -> None:
        self.size = 0
        self._pieces: deque[bytes] = deque()
        self._unpack: zlib._Decompress | None = None

    def is_packed(self) -> None:
        """Say that the pieces to come are compressed."""
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)

    def add(self, piece: bytes) -> None:
        """Take what arrived."""
        self._pieces.append(piece)
        self.size += len(piece)

    def take(self) -> bytes:
        """Return what can be read now, b"" for nothing. Raises zlib.error for what is not packed as it was said."""
        if self._unpack is not None:
            return self._unpacked(self._unpack)
        data = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return data

    def _unpacked(self, unpack: "zlib._Decompress") -> bytes:
        while self._pieces:
            piece = self._pieces.popleft()
            packed, rest = piece[:_AT_ONCE], piece[_AT_ONCE:]
            if rest:
                self._pieces.appendleft(rest)
            self.size -= len(packed)
            if data := unpack.decompress(packed):
                return data
        return b""
