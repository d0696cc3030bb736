"""A file on its way from the site."""

import asyncio
from collections.abc import AsyncIterator

from app.config import Settings
from app.upstream.http import Response
from app.upstream.qwen.seam import explained

_PLAIN = (b"", b"identity")
_LEAST_RATE = 16 * 1024  # bytes a second


class Fetched:
    """A file on its way from the site, as `app.core.ports.Download` says.

    Waiting for it may take TOTAL_TIMEOUT seconds in all, and one more for each 16 KiB that came: a file that flows is
    as long as it is, one that drips ends. The time of who takes the bytes does not count.
    """

    def __init__(self, response: Response, settings: Settings) -> None:
        kind = response.headers.get(b"content-type", b"").decode("utf-8", "replace")
        self.content_type = kind.partition(";")[0].strip()
        length = response.headers.get(b"content-length", b"")
        is_plain = response.headers.get(b"content-encoding", b"").lower() in _PLAIN  # else it is the packed length
        self.size = int(length) if is_plain and length.isdigit() and len(length) < 16 else None
        self._response = response
        self._settings = settings
        self._waited = 0.0
        self._came = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes in pieces."""
        while piece := await self._read():
            yield piece

    async def _read(self) -> bytes:
        silence, total = self._settings.between_events_timeout, self._settings.total_timeout
        left = total + self._came / _LEAST_RATE - self._waited
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            piece = await self._response.read(began + min(silence, left))
        except OSError as problem:
            said = f"In mid-file the site sent nothing for {silence:g} s (BETWEEN_EVENTS_TIMEOUT)."
            if left < silence:
                said = f"The file comes so slowly that it would take longer than {total:g} s (TOTAL_TIMEOUT)."
            connect = self._settings.connect_timeout
            raise explained(problem, said, connect_seconds=connect, in_answer=True) from problem
        self._waited += loop.time() - began
        self._came += len(piece)
        return piece
