"""One HTTP/1.1 connection: a request out, its response in, then the next."""

import asyncio
import zlib
from collections.abc import Callable
from typing import cast

import httptools

from app.upstream.http.body import Body

_MOST_WAITING = 256 * 1024  # bytes that arrived and were not read, before the other side is slowed down
_MOST_HEADERS = 64 * 1024
_COPIED = 64 * 1024  # bytes of a body that go out in one piece with the head
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class Disconnected(ConnectionError):
    """The connection ended before the response did."""


class NotHttp(ConnectionError):
    """What the other side sends is not proper HTTP."""


class Response:
    """A response whose head is there. Header names are in lower case; of equal ones the last counts.

    It has a body of its own, so that it can never show what belongs to the next response on its connection.
    """

    __slots__ = ("_body", "_connection", "_is_closed", "_more", "cookies", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], connection: "Connection") -> None:
        self.status = status
        self.headers = dict(headers)
        self.cookies = tuple(value for name, value in headers if name == "set-cookie")
        self._connection = connection
        self._body = Body(is_packed=self.headers.get("content-encoding", "").lower() in _PACKED)
        self._more: asyncio.Future[None] | None = None
        self._is_closed = False

    @property
    def is_whole(self) -> bool:
        """Whether all of the body has arrived, though it may not be read."""
        return self._body.is_whole

    async def read(self) -> bytes:
        """Return the next bytes of the body, b"" at its end. Raises Disconnected, NotHttp."""
        body = self._body
        while not self._is_closed:
            if body.size or body.is_whole:
                data = self._take()
                if data or (body.is_whole and not body.size):
                    return data
            elif self._connection.problem is not None:
                raise self._connection.problem
            else:
                self._more = self._connection.loop.create_future()
                try:
                    await self._more
                finally:
                    self._more = None
        raise Disconnected("The response was closed.")

    def close(self, *, linger: float = 0.0) -> None:
        """Give the connection back if the body has arrived or its end comes within `linger` seconds, else end it."""
        if not self._is_closed:
            self._is_closed = True
            self.wake()
            self._connection.release(linger)

    def add(self, piece: bytes) -> int:
        """Take a piece of the body; return how many bytes wait to be read."""
        self._body.add(piece)
        return self._body.size

    def end(self) -> None:
        """Take the end of the body."""
        self._body.is_whole = True

    def wake(self) -> None:
        """Have the reader look again."""
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _take(self) -> bytes:
        try:
            data = self._body.take()
        except zlib.error as problem:
            broken = NotHttp(f"The body is not packed as the head says: {problem}")
            self._connection.fail(broken)
            raise broken from problem
        if self._body.size < _MOST_WAITING:
            self._connection.go_on()
        return data


class Connection(asyncio.Protocol):
    """Owned by a pool, which is told by `on_idle` when the next request may come, and by `on_lost` of its end.

    `heard` says whether anything came since the last request; `problem` is why nothing more can be sent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_idle: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.loop = loop
        self.idle_since = 0.0
        self.heard = False
        self.problem: ConnectionError | None = None
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._bare = 0  # bytes since a head ended or a piece of a body came
        self._is_asked = False
        self._answered: asyncio.Future[Response] | None = None
        self._response: Response | None = None
        self._is_framed = True
        self._is_slowed = False
        self._lingering: asyncio.TimerHandle | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it can carry no further request."""
        return self.problem is not None or self._transport is None or self._transport.is_closing()

    async def send(self, head: bytes, body: bytes) -> Response:
        """Send a request; return its response once the head is there. Raises Disconnected, NotHttp."""
        if self.problem is not None or self._transport is None:
            raise self.problem or Disconnected("The connection is closed.")
        self._answered = self.loop.create_future()
        self._is_asked, self._is_framed, self.heard = True, True, False
        if len(body) > _COPIED:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)
        try:
            return await self._answered
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answered = None

    def release(self, linger: float) -> None:
        """End the running response; the next request may come if it was whole, or is within `linger` seconds."""
        if self.problem is not None or (self._is_asked and not linger):
            self.close()
            return
        self._response = None
        self.go_on()
        if self._is_asked:
            self._lingering = self.loop.call_later(linger, self.close)
        else:
            self._on_idle(self)

    def close(self) -> None:
        """End the connection."""
        self.fail(Disconnected("The connection was closed."))

    def fail(self, problem: ConnectionError) -> None:
        """End the connection; the first problem is the one that is told."""
        self.problem = self.problem or problem
        if self._lingering is not None:
            self._lingering.cancel()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(self.problem)
        if self._transport is not None:
            self._transport.abort()
        if self._response is not None:
            self._response.wake()

    def go_on(self) -> None:
        """Let the other side send on, if it was slowed down."""
        if self._is_slowed and self._transport is not None and not self._transport.is_closing():
            self._is_slowed = False
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        if self.problem is not None:
            return
        self.heard = True
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            self.fail(NotHttp(str(problem)))
            return
        if self._bare > _MOST_HEADERS:
            self.fail(NotHttp("too many headers"))
        elif self._response is not None:
            self._response.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end; without a length it is the end of the body too."""
        if self._response is not None and not self._is_framed and exc is None and self.problem is None:
            self._is_asked = False
            self._response.end()
        self.fail(Disconnected("The connection broke." if exc else "The other side closed the connection."))
        self._on_lost(self)

    def on_message_begin(self) -> None:
        """Begin a head (httptools)."""
        self._headers = []
        if not self._is_asked:
            raise ValueError("a response that was not asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (httptools)."""
        self._headers.append((name.decode("latin-1").lower(), value.strip().decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """Hand the response over, unless it only announces the real one (httptools)."""
        self._bare = 0
        status = self._parser.get_status_code()
        if status < 200 or self._answered is None:
            return
        self._response = Response(status, self._headers, self)
        headers = self._response.headers
        self._is_framed = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        if not self._answered.done():
            self._answered.set_result(self._response)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body (httptools)."""
        self._bare = 0
        if self._response is None or self._response.add(piece) <= _MOST_WAITING or self._is_slowed:
            return
        if self._transport is not None and not self._transport.is_closing():
            self._is_slowed = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Take the end of the body (httptools)."""
        if self._parser.get_status_code() < 200 or (self._response is None and self._lingering is None):
            return
        self._is_asked, self._is_framed = False, True
        if self._response is not None:
            self._response.end()
        if not self._parser.should_keep_alive():
            self.problem = Disconnected("The other side closes the connection after its answer.")
            if self._transport is not None:
                self._transport.close()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
            if self.problem is None:
                self._on_idle(self)
