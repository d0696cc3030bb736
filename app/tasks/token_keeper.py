"""Looks after the account's session while nobody asks anything (docs/operating.md, Token and session)."""

import asyncio
import logging

from app.core.ports import Upstream
from app.errors import UpstreamError

_log = logging.getLogger(__name__)
_EVERY = 3600.0


class TokenKeeper:
    """Has the session renewed before it ends; `every` so many seconds it looks."""

    def __init__(self, upstream: Upstream, *, every: float = _EVERY) -> None:
        self._upstream = upstream
        self._every = every

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self._upstream.keep_session()
            except UpstreamError as problem:
                _log.warning("The account's session could not be renewed: %s", problem)
            await asyncio.sleep(self._every)
