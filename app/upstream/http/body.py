"""The body of one response on its way: pieces as they arrive, unpacked when they are read. Pure."""

import zlib
from collections import deque

_AT_ONCE = 4096  # packed bytes; they unpack to a few megabytes at most
_GZIP_OR_ZLIB = 47


class Body:
    """Holds what arrived and was not read. What a packed body unpacks to is bounded by how much is asked for.

    `size` is what waits, in bytes as they arrived; `is_whole` is set by whoever adds the last piece.
    """

    __slots__ = ("_pieces", "_unpack", "is_whole", "size")

    def __init__(self, *, is_packed: bool) -> None:
        self.size = 0
        self.is_whole = False
        self._pieces: deque[bytes] = deque()
        self._unpack = _Unpacking() if is_packed else None

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

    def _unpacked(self, unpack: "_Unpacking") -> bytes:
        while self._pieces:
            piece = self._pieces.popleft()
            packed, rest = piece[:_AT_ONCE], piece[_AT_ONCE:]
            if rest:
                self._pieces.appendleft(rest)
            self.size -= len(packed)
            if data := unpack.feed(packed):
                return data
        if self.is_whole:
            unpack.finish()
        return b""


class _Unpacking:
    """Unpacks gzip or zlib; what follows its end is passed over, as browsers do."""

    __slots__ = ("_began", "_zlib")

    def __init__(self) -> None:
        self._began = False
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, packed: bytes) -> bytes:
        self._began = True
        return b"" if self._zlib.eof else self._zlib.decompress(packed)

    def finish(self) -> None:
        """Raise zlib.error if something began and did not end."""
        if self._began and not self._zlib.eof:
            raise zlib.error("it breaks off")
