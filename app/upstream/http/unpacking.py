"""Unpacks the body of one response, piece by piece. Pure."""

import zlib

_GZIP_OR_ZLIB = 47


class Unpacking:
    """Unpacks gzip or zlib; what follows its end is passed over, as browsers do."""

    __slots__ = ("_began", "_zlib")

    def __init__(self) -> None:
        self._began = False
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, packed: bytes) -> bytes:
        """Return what these bytes unpack to, perhaps nothing yet. Raises zlib.error for what is not packed."""
        self._began = True
        return b"" if self._zlib.eof else self._zlib.decompress(packed)

    def finish(self) -> None:
        """Raise zlib.error if something began and did not end."""
        if self._began and not self._zlib.eof:
            raise zlib.error("it breaks off")
