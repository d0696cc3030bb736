"""One response on its way: its head, and its body as it arrives and is read."""

import asyncio
import zlib
from collections import deque
from typing import Protocol

from app.upstream.http.alarm import Alarm
from app.upstream.http.unpacking import Unpacking

MOST_WAITING = 256 * 1024  # bytes that arrived and were not read, before the other side is slowed down
_AT_ONCE = 4096  # packed bytes; they unpack to a few megabytes at most
_PACKED = frozenset({b"gzip", b"x-gzip", b"deflate"})


class Disconnected(ConnectionError):
    """The connection ended before the response did."""


class NotHttp(ConnectionError):
    """What the other side sends is not proper HTTP."""


class Line(Protocol):
    """What a response needs of the connection that it comes over.

    `problem` is why nothing more comes; `is_slowed` says that the other side was asked to wait until `go_on`.
    """

    loop: asyncio.AbstractEventLoop
    alarm: Alarm
    problem: OSError | None
    is_slowed: bool

    def go_on(self) -> None:
        """Let the other side send on."""
        ...

    def fail(self, problem: OSError) -> None:
        """End the connection."""
        ...

    def release(self, linger: float) -> None:
        """End the response; its rest may come within `linger` seconds."""
        ...


class Response:
    """A response whose head is there. Header names are in lower case; of equal ones the last counts.

    `is_whole`: all of the body has arrived, though it may not be read. It has a body of its own, so that it can never
    show what belongs to the next response on its connection.
    """

    __slots__ = (
        "_is_closed",
        "_line",
        "_pieces",
        "_size",
        "_unpacking",
        "cookies",
        "headers",
        "is_whole",
        "more",
        "status",
    )

    def __init__(self, status: int, headers: dict[bytes, bytes], cookies: tuple[str, ...], line: Line) -> None:
        self.status = status
        self.headers = headers
        self.cookies = cookies
        self.is_whole = False
        self.more: asyncio.Future[None] | None = None
        self._line = line
        self._pieces: deque[bytes] = deque()
        self._size = 0
        packing = headers.get(b"content-encoding")
        self._unpacking = Unpacking() if packing is not None and packing.lower() in _PACKED else None
        self._is_closed = False

    def ready(self) -> bytes | None:
        """Return the next bytes of the body as `read` does, None if they have to be waited for."""
        if self._is_closed:
            raise Disconnected("The response was closed.")
        while self._size or self.is_whole:
            data = self._take()
            if data or (self.is_whole and not self._size):
                return data
        if self._line.problem is not None:
            raise self._line.problem
        return None

    async def read(self, deadline: float | None = None) -> bytes:
        """Return the next bytes of the body, b"" at its end.

        Raises Disconnected, NotHttp, and TimeoutError if nothing comes until `deadline` (loop time).
        """
        while (data := self.ready()) is None:
            self.more = self._line.loop.create_future()
            if deadline is not None:
                self._line.alarm.arm(deadline)
            try:
                await self.more
            finally:
                self.more = None
                if not self._is_closed:
                    self._line.alarm.deadline = None
        return data

    def close(self, *, linger: float = 0.0) -> None:
        """Give the connection back if the body has arrived or its end comes within `linger` seconds, else end it."""
        if not self._is_closed:
            self._is_closed = True
            if self.more is not None:
                self.wake()
            self._line.release(linger)

    def add(self, piece: bytes) -> int:
        """Take a piece of the body; return how many bytes wait to be read."""
        self._pieces.append(piece)
        self._size += len(piece)
        return self._size

    def wake(self) -> None:
        """Have the reader, who waits for `more`, look again."""
        if self.more is not None and not self.more.done():
            self.more.set_result(None)

    def _take(self) -> bytes:
        """Return what can be read now, b"" for nothing."""
        if self._unpacking is not None:
            data = self._unpacked(self._unpacking)
        else:
            data = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
        if self._line.is_slowed and self._size < MOST_WAITING:
            self._line.go_on()
        return data

    def _unpacked(self, unpacking: Unpacking) -> bytes:
        """Unpack until there is something: what a body unpacks to is bounded by how much is asked for."""
        try:
            while self._pieces:
                piece = self._pieces.popleft()
                packed, rest = piece[:_AT_ONCE], piece[_AT_ONCE:]
                if rest:
                    self._pieces.appendleft(rest)
                self._size -= len(packed)
                if data := unpacking.feed(packed):
                    return data
            if self.is_whole:
                unpacking.finish()
        except zlib.error as problem:
            broken = NotHttp(f"The body is not packed as the head says: {problem}")
            self._line.fail(broken)
            raise broken from problem
        return b""
