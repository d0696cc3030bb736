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


class Disconnected(ConnectionError):
    """The connection ended before the response did."""


class NotHttp(ConnectionError):
    """What the other side sends is not proper HTTP."""


class Response:
    """A response whose head is there. Header names are in lower case; of equal ones the last counts."""

    __slots__ = ("_connection", "_is_closed", "cookies", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], connection: "Connection") -> None:
        self.status = status
        self.headers = dict(headers)
        self.cookies = tuple(value for name, value in headers if name == "set-cookie")
        self._connection = connection
        self._is_closed = False

    @property
    def is_whole(self) -> bool:
        """Whether all of the body has arrived, though it may not be read."""
        return self._connection.is_whole

    async def read(self) -> bytes:
        """Return the next bytes of the body, b"" at its end. Raises Disconnected, NotHttp."""
        return await self._connection.read()

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else end it."""
        if not self._is_closed:
            self._is_closed = True
            self._connection.release()


class Connection(asyncio.Protocol):
    """Owned by a pool, which is told by `on_idle` when the next request may come, and by `on_lost` of its end."""

    def __init__(self, on_idle: Callable[["Connection"], None], on_lost: Callable[["Connection"], None]) -> None:
        self.idle_since = 0.0
        self.heard = False
        self.is_whole = True
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._headers_size = 0
        self._answered: asyncio.Future[Response] | None = None
        self._more: asyncio.Future[None] | None = None
        self._body = Body()
        self._framed = True
        self._slowed = False
        self._problem: ConnectionError | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it can carry no further request."""
        return self._problem is not None or self._transport is None or self._transport.is_closing()

    async def send(self, head: bytes, body: bytes) -> Response:
        """Send a request; return its response once the head is there. Raises Disconnected, NotHttp."""
        if self._problem is not None or self._transport is None:
            raise Disconnected("The connection is closed.")
        self._answered = self._loop.create_future()
        self._body, self.is_whole, self._framed, self.heard = Body(), False, True, False
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

    async def read(self) -> bytes:
        """Return the next bytes of the running response, b"" at its end."""
        while not self._body.size:
            if self.is_whole:
                return b""
            if self._problem is not None:
                raise self._problem
            self._more = self._loop.create_future()
            try:
                await self._more
            finally:
                self._more = None
        try:
            data = self._body.take()
        except zlib.error as problem:
            self._fail(NotHttp(f"The body is not packed as the head says: {problem}"))
            raise NotHttp(str(problem)) from problem
        if self._body.size < _MOST_WAITING:
            self._go_on()
        return data or await self.read()

    def release(self) -> None:
        """End the running response; the next request may come if it was whole."""
        if not self.is_whole or self._problem is not None:
            self.close()
            return
        self._body = Body()
        self._go_on()
        self._on_idle(self)

    def close(self) -> None:
        """End the connection."""
        self._fail(Disconnected("The connection was closed."))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            self._fail(NotHttp(str(problem)))
            return
        if self._body.size > _MOST_WAITING and not self._slowed and self._transport is not None:
            self._slowed = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end; without a length it is the end of the body too."""
        if not self._framed and exc is None:
            self.is_whole = True
        self._fail(Disconnected("The connection broke." if exc else "The other side closed the connection."))
        self._on_lost(self)

    def on_message_begin(self) -> None:
        """Begin a head (httptools)."""
        self._headers, self._headers_size = [], 0
        if self.is_whole:
            raise ValueError("a response that was not asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (httptools)."""
        self._headers_size += len(name) + len(value)
        if self._headers_size > _MOST_HEADERS:
            raise ValueError("too many headers")
        self._headers.append((name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        """Hand the response over, unless it only announces the real one (httptools)."""
        status = self._parser.get_status_code()
        if status < 200 or self._answered is None:
            return
        response = Response(status, self._headers, self)
        headers = response.headers
        self._framed = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        if headers.get("content-encoding", "").lower() in {"gzip", "x-gzip", "deflate"}:
            self._body.is_packed()
        if not self._answered.done():
            self._answered.set_result(response)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body (httptools)."""
        self._body.add(piece)

    def on_message_complete(self) -> None:
        """Take the end of the body (httptools)."""
        if self._parser.get_status_code() < 200:
            return
        self.is_whole = self._framed = True
        if not self._parser.should_keep_alive():
            self._problem = Disconnected("The other side closes the connection after its answer.")
            if self._transport is not None:
                self._transport.close()

    def _fail(self, problem: ConnectionError) -> None:
        self._problem = self._problem or problem
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(self._problem)
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _go_on(self) -> None:
        """Let the other side send on, if it was slowed down."""
        if self._slowed and self._transport is not None:
            self._slowed = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
