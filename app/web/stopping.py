"""How the server stops: what runs gets some seconds to end, then it is cut and its client told so."""

import asyncio
from contextlib import suppress

from aiohttp import web

from app.errors import ServerStopping

_LAST_SECONDS = 5.0  # for those that were cut to tell their clients


class Stopping:
    """Knows the requests that are being served, and ends them."""

    def __init__(self, seconds: float) -> None:
        """`seconds` that running requests get."""
        self.has_begun = False
        self._seconds = seconds
        self._running: set[asyncio.Task[None]] = set()  # a connection's, which serves one request at a time
        self._is_over = asyncio.Event()

    def enter(self, request: web.Request) -> None:
        """A request has come."""
        self._running.add(request.task)

    def leave(self, request: web.Request) -> None:
        """A request is over."""
        self._running.discard(request.task)
        if self.has_begun and not self._running:
            self._is_over.set()

    async def run(self, _app: web.Application) -> None:
        """Wait until all requests are over, and cut those that take too long: the cancellation carries why."""
        self.has_begun = True
        if self._running and self._seconds:
            await self._wait(self._seconds)
        for task in self._running:
            task.cancel(ServerStopping("The server is being stopped.", retry_after=5))
        await self._wait(_LAST_SECONDS)

    async def _wait(self, seconds: float) -> None:
        if self._running:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._is_over.wait()
