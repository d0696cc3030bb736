"""A stream of server-sent events to one client, kept alive while upstream is silent."""

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from app.web.keys import VISIT

_KEEP_ALIVE = b": keep-alive\n\n"
_CLIENT_SECONDS = 300.0  # for which a client may take nothing: its answer keeps a place, and its chat is busy
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would otherwise collect the stream
}


class _Response(web.StreamResponse):
    _send_headers_immediately = False  # but with the first frames: each write is a system call, and wakes the client


class EventStream:
    """An answer on its way, `response`.

    Sends the headers with the first frame or keep-alive, so that an error before both still has its own status. The
    connection of a client that reads nothing any more is ended.
    """

    def __init__(self, request: web.Request, headers: Mapping[str, str], *, keep_alive: float) -> None:
        self.response = _Response(headers={**_HEADERS, **headers})
        self._request = request
        self._keep_alive = keep_alive
        self._opening = asyncio.Lock()
        self._loop = request.task.get_loop()  # asking for the running one is a system call up to Python 3.11
        self._last_write = self._loop.time()
        self._is_writing = False  # or at the end, when no keep-alive may follow
        self._waiting = 0  # bytes that the client had not taken when it was last looked at
        self._taken_at = self._last_write
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_at(self._last_write + min(self._keep_alive, _CLIENT_SECONDS), self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._hush()

    @property
    def opened(self) -> bool:
        """Whether the status and headers are sent."""
        return self.response.prepared

    async def send(self, frames: bytes) -> None:
        """Send frames. Raises ConnectionError when the client is gone."""
        await self._open()
        self._is_writing = True
        await self.response.write(frames)
        self._is_writing = False
        self._request[VISIT].sent += len(frames)

    async def end(self, frames: bytes) -> None:
        """Send the last frames. Raises ConnectionError when the client is gone."""
        await self._open()
        self._is_writing = True
        await self._hush()
        await self.response.write_eof(frames)
        self._request[VISIT].sent += len(frames)

    async def _open(self) -> None:
        self._last_write = self._loop.time()
        if not self.response.prepared:
            async with self._opening:
                if not self.response.prepared:
                    await self.response.prepare(self._request)

    async def _hush(self) -> None:
        """End a keep-alive that is being sent. Without one nothing is waited for: clients leave at the last byte."""
        if self._beat is not None and not self._beat.done():
            self._beat.cancel()
            await asyncio.wait([self._beat])

    def _look(self) -> None:
        """Look whether a keep-alive is due, or the client takes nothing; writes in between cost nothing."""
        now = self._loop.time()
        if self._is_stuck(now):
            assert self._request.transport is not None
            self._request.transport.abort()
            return
        due = self._last_write + self._keep_alive
        again = due if now < due else now + self._keep_alive
        self._timer = self._loop.call_at(min(again, now + _CLIENT_SECONDS), self._look)
        if now >= due and not self._is_writing:
            self._beat = self._loop.create_task(self._send_keep_alive(), name="keep a stream alive")

    def _is_stuck(self, now: float) -> bool:
        """Say whether for too long nothing was written, nor what waits for the client became less."""
        transport = self._request.transport
        waiting = transport.get_write_buffer_size() if transport is not None else 0
        if waiting < self._waiting or not waiting:
            self._taken_at = now
        self._waiting = waiting
        return waiting > 0 and now - max(self._taken_at, self._last_write) >= _CLIENT_SECONDS

    async def _send_keep_alive(self) -> None:
        with contextlib.suppress(ConnectionError):  # the handler meets it too, and records the turn
            await self.send(_KEEP_ALIVE)
