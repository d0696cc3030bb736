"""One HTTP/1.1 connection: a request out, its response in, then the next."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import httptools

from app.upstream.http.alarm import Alarm
from app.upstream.http.response import MOST_WAITING, Disconnected, NotHttp, Response

_MOST_HEADERS = 64 * 1024
_COPIED = 64 * 1024  # bytes of a body that go out in one piece with the head


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
        self.alarm = Alarm(loop, self._ring)
        self.idle_since = 0.0
        self.heard = False
        self.is_slowed = False
        self.problem: OSError | None = None
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._cookies: tuple[str, ...] = ()
        self._bare = 0  # bytes since a head ended or a piece of a body came
        self._is_asked = False
        self._answered: asyncio.Future[Response] | None = None
        self._response: Response | None = None
        self._is_framed = True
        self._lingering: asyncio.TimerHandle | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it can carry no further request."""
        return self.problem is not None or self._transport is None or self._transport.is_closing()

    async def send(self, head: bytes, body: bytes, deadline: float | None = None) -> Response:
        """Send a request; return its response once the head is there.

        Raises Disconnected, NotHttp, and TimeoutError if the head is not there by `deadline` (loop time).
        """
        if self.problem is not None or self._transport is None:
            raise self.problem or Disconnected("The connection is closed.")
        self._answered = self.loop.create_future()
        self._is_asked, self._is_framed, self.heard = True, True, False
        if len(body) > _COPIED:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)
        if deadline is not None:
            self.alarm.arm(deadline)
        try:
            return await self._answered
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answered = None
            self.alarm.deadline = None

    def release(self, linger: float) -> None:
        """End the running response; the next request may come if it was whole, or is within `linger` seconds."""
        self.alarm.deadline = None
        if self.problem is not None or (self._is_asked and not linger):
            self.close()
            return
        self._response = None
        if self.is_slowed:
            self.go_on()
        if self._is_asked:
            self._lingering = self.loop.call_later(linger, self.close)
        else:
            self._on_idle(self)

    def close(self) -> None:
        """End the connection."""
        self.fail(Disconnected("The connection was closed."))

    def fail(self, problem: OSError) -> None:
        """End the connection; the first problem is the one that is told."""
        self.problem = self.problem or problem
        self.alarm.cancel()
        if self._lingering is not None:
            self._lingering.cancel()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(self.problem)
        if self._transport is not None:
            self._transport.abort()
        if self._response is not None:
            self._response.wake()

    def go_on(self) -> None:
        """Let the other side send on after it was slowed down."""
        if self._transport is not None and not self._transport.is_closing():
            self.is_slowed = False
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
        elif self._response is not None and self._response.more is not None:
            self._response.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end; without a length it is the end of the body too."""
        if self._response is not None and not self._is_framed and exc is None and self.problem is None:
            self._is_asked = False
            self._response.is_whole = True
        self.fail(Disconnected("The connection broke." if exc else "The other side closed the connection."))
        self._on_lost(self)

    def on_message_begin(self) -> None:
        """Begin a head (httptools)."""
        self._headers, self._cookies = {}, ()
        if not self._is_asked:
            raise ValueError("a response that was not asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (httptools)."""
        name, value = name.lower(), value.strip()
        self._headers[name] = value
        if name == b"set-cookie":
            with suppress(UnicodeDecodeError):  # one that is no text could not be written into the next request
                self._cookies += (value.decode(),)

    def on_headers_complete(self) -> None:
        """Hand the response over, unless it only announces the real one (httptools)."""
        self._bare = 0
        status = self._parser.get_status_code()
        if status < 200 or self._answered is None:
            return
        headers, self._headers = self._headers, {}  # trailers come as headers do, and are none of the response's
        self._response = Response(status, headers, self._cookies, self)
        self._is_framed = b"content-length" in headers or b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        if not self._answered.done():
            self._answered.set_result(self._response)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body (httptools)."""
        self._bare = 0
        if self._response is None or self._response.add(piece) <= MOST_WAITING or self.is_slowed:
            return
        if self._transport is not None and not self._transport.is_closing():
            self.is_slowed = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Take the end of the body (httptools)."""
        if self._parser.get_status_code() < 200 or (self._response is None and self._lingering is None):
            return
        self._is_asked, self._is_framed = False, True
        if self._response is not None:
            self._response.is_whole = True
        if not self._parser.should_keep_alive():
            self.problem = Disconnected("The other side closes the connection after its answer.")
            if self._transport is not None:
                self._transport.close()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
            if self.problem is None:
                self._on_idle(self)

    def _ring(self) -> None:
        self.fail(TimeoutError("Nothing came in time."))
