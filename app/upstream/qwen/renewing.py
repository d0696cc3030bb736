"""The renewals of the login that are under way."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from app.errors import UpstreamBlocked, UpstreamTimeout
from app.upstream.qwen.credentials import Credential
from app.upstream.qwen.pause import Pause

_T = TypeVar("_T")
_PATIENCE = 3.0


class Renewing:
    """Runs renewals so that no client who leaves cancels one; only the end does, and only their calls to the site.

    `pause` is how long the site is left alone after a block, also after one that a renewal met.
    """

    def __init__(self, pause: Pause) -> None:
        self.pause = pause
        self._latest: tuple[Credential, asyncio.Task[None]] | None = None
        self._renewals: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Any]] = set()

    def of(self, credential: Credential) -> asyncio.Task[None] | None:
        """Return the renewal of this login that is under way, if any."""
        if self._latest is None or self._latest[0] is not credential or self._latest[1].done():
            return None
        return self._latest[1]

    def begin(self, credential: Credential, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a renewal of this login."""
        task = asyncio.create_task(work, name="renew the login")
        self._latest = (credential, task)
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)
        return task

    async def answer(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Await a renewal's call to the site. Raises what it does, and UpstreamTimeout once `close` gave it up."""
        asking = asyncio.create_task(call, name="ask for a new login")
        self._calls.add(asking)
        asking.add_done_callback(self._calls.discard)
        await asyncio.wait([asking])
        if asking.cancelled():
            raise UpstreamTimeout("The site did not answer before the server stopped.", cause="stop")
        try:
            return asking.result()
        except UpstreamBlocked as problem:
            self.pause.blocked(problem)
            raise

    async def close(self) -> None:
        """Wait a few seconds for answers, since the site may have rotated the session already; store what came."""
        if self._renewals:
            await asyncio.wait(self._renewals, timeout=_PATIENCE)
        for call in tuple(self._calls):
            call.cancel()
        if self._renewals:
            await asyncio.wait(self._renewals)
