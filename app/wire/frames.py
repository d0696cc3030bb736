"""The frames of server-sent events."""

from typing import Any

import msgspec

_LINE_ENDS = tuple((mark.encode(), b"\\u%04x" % ord(mark)) for mark in "\u2028\u2029\x85")
_encode = msgspec.json.encode


def unbroken(said: bytes) -> bytes:
    """Escape what JSON may hold as it is, but Python's clients take for the end of a line."""
    if said.isascii():
        return said
    for mark, escaped in _LINE_ENDS:
        said = said.replace(mark, escaped)
    return said


def event_frame(kind: str, data: bytes) -> bytes:
    """Write an event that has a name, given its JSON."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), unbroken(data))


class EventFrames:
    """Events with names on their way to a client, of which the numbered ones have a `sequence_number`.

    Each is written when it is added, since what it tells of changes. Shared by who writes an answer and who puts it
    together, which need not know each other: in a circle both would stay in memory until the collector looks.
    """

    def __init__(self, *, numbered: bool = False) -> None:
        self.count = 0
        self._numbered = numbered
        self._frames: list[bytes] = []

    def add(self, kind: str, fields: dict[str, Any]) -> None:
        """Add an event."""
        numbered = {"sequence_number": self.count, **fields} if self._numbered else fields
        self._frames.append(event_frame(kind, _encode({"type": kind, **numbered})))
        self.count += 1

    def take(self) -> bytes:
        """Return the events since the last call."""
        frames, self._frames = b"".join(self._frames), []
        return frames
