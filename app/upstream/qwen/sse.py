"""Cuts a byte stream into the payloads of its events (docs/upstream-protocol.md, Stream). Pure."""

from app.errors import UpstreamProtocolError

_LIMIT = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_BARE = (b"{", b"[", b"<")


class Splitter:
    """Feeds on bytes cut anywhere and gives whole payloads, trimmed, the lines of one event joined.

    The site also sends JSON or a page without `data:` in place of events: such a block is a payload too. Comments and
    other fields are dropped. Raises UpstreamProtocolError when one event exceeds 8 MiB.
    """

    __slots__ = ("_bare", "_data", "_fresh", "_pending", "_size")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._data: list[bytes] = []
        self._bare: list[bytes] = []
        self._size = 0
        self._fresh = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads that this chunk completes."""
        if not (self._size or self._data) and (whole := _whole_events(chunk)):
            self._fresh = False
            return whole
        self._size += len(chunk)
        if self._size > _LIMIT:
            raise UpstreamProtocolError("One event of the site's stream is larger than 8 MiB.", cause="size")
        self._pending.append(chunk)
        if b"\n" not in chunk:
            return []
        lines = b"".join(self._pending).split(b"\n")
        rest = lines.pop()
        self._pending = [rest] if rest else []
        out: list[bytes] = []
        for line in lines:
            self._take(line, out)
        self._size = len(rest) + sum(map(len, self._data)) + sum(map(len, self._bare))
        return out

    def close(self) -> list[bytes]:
        """Return what the end of the stream completes; the last payload may be torn."""
        out: list[bytes] = []
        self._take(b"".join(self._pending), out)
        self._pending = []
        self._dispatch(out)
        return out

    def _take(self, line: bytes, out: list[bytes]) -> None:
        if self._fresh:
            line = line.removeprefix(_BOM)
            self._fresh = False
        line = line.strip()
        if line.startswith(b"data:"):
            if self._bare:
                self._dispatch(out)
            self._data.append(line[5:].strip())
        elif not line:
            self._dispatch(out)
        elif self._bare or line.startswith(_BARE):
            if self._data:
                self._dispatch(out)
            self._bare.append(line)

    def _dispatch(self, out: list[bytes]) -> None:
        payload = b"\n".join(self._data or self._bare)
        self._data, self._bare = [], []
        if payload:
            out.append(payload)


def _whole_events(chunk: bytes) -> list[bytes]:
    """Return the payloads of bytes that are only whole events of one object each, as they mostly are; else []."""
    if len(chunk) > _LIMIT or chunk[-2:] != b"\n\n":
        return []
    lines = chunk.split(b"\n")
    if any(lines[1::2]):
        return []
    payloads = []
    for line in lines[::2]:
        if line[:7] == b"data: {":
            payloads.append(line[6:].rstrip())
        elif line:
            return []
    return payloads
