"""A stream of server-sent events to one client, kept alive while upstream is silent."""

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from app.web.keys import VISIT

_KEEP_ALIVE = b": keep-alive\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would otherwise collect the stream
}


class EventStream:
    """Sends the headers with the first frame or keep-alive, so that an error before both still has its own status."""

    def __init__(self, request: web.Request, headers: Mapping[str, str], *, keep_alive: float) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={**_HEADERS, **headers})
        self._keep_alive = keep_alive
        self._opening = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_at(self._last_write + self._keep_alive, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.wait([self._beat])

    @property
    def opened(self) -> bool:
        """Whether the status and headers are sent."""
        return self._response.prepared

    async def send(self, frames: bytes) -> None:
        """Send frames. Raises ConnectionError when the client is gone."""
        self._last_write = self._loop.time()
        if not self._response.prepared:
            async with self._opening:
                if not self._response.prepared:
                    await self._response.prepare(self._request)
        await self._response.write(frames)
        self._request[VISIT].sent += len(frames)

    async def end(self) -> web.StreamResponse:
        """Finish the answer."""
        await self._response.write_eof()
        return self._response

    def _look(self) -> None:
        """Look whether a keep-alive is due; writes in between cost nothing."""
        due = self._last_write + self._keep_alive
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
        else:
            self._beat = self._loop.create_task(self._send_keep_alive(), name="keep a stream alive")

    async def _send_keep_alive(self) -> None:
        with contextlib.suppress(ConnectionError):  # the handler meets it too, and records the turn
            await self.send(_KEEP_ALIVE)
            self._timer = self._loop.call_at(self._last_write + self._keep_alive, self._look)
