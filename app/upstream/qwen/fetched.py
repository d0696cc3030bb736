"""A file on its way from the site."""

import asyncio
from collections.abc import AsyncIterator

from app.config import Settings
from app.upstream.http import Response
from app.upstream.qwen.seam import explained

_PLAIN = (b"", b"identity")


class Fetched:
    """A file on its way from the site, as `app.core.ports.Download` says."""

    def __init__(self, response: Response, settings: Settings) -> None:
        kind = response.headers.get(b"content-type", b"").decode("utf-8", "replace")
        self.content_type = kind.partition(";")[0].strip()
        length = response.headers.get(b"content-length", b"")
        is_plain = response.headers.get(b"content-encoding", b"").lower() in _PLAIN  # else it is the packed length
        self.size = int(length) if is_plain and length.isdigit() and len(length) < 16 else None
        self._response = response
        self._settings = settings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes in pieces."""
        while piece := await self._read():
            yield piece

    async def _read(self) -> bytes:
        seconds = self._settings.between_events_timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._response.read()
        except OSError as problem:
            silence = f"In mid-file the site sent nothing for {seconds:g} s (BETWEEN_EVENTS_TIMEOUT)."
            connect = self._settings.connect_timeout
            raise explained(problem, silence, connect_seconds=connect, in_answer=True) from problem
