"""A file on its way from the site."""

import asyncio
from collections.abc import AsyncIterator

from app.config import Settings
from app.core.file_types import HEAD_BYTES, recognise
from app.errors import UpstreamProtocolError, UpstreamUnreachable
from app.upstream.http import Response
from app.upstream.qwen.replies import page_error
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
        self._head = b""

    async def begin(self) -> None:
        """Wait for the first bytes. Raises UpstreamError, also where they are those of no image or video."""
        while len(self._head) < HEAD_BYTES and (piece := await self._read()):
            self._head += piece
        _check(self._head, self.content_type)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes in pieces, once it began."""
        yield self._head
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


def _check(head: bytes, declared: str) -> None:
    """Raise UpstreamError for what comes in place of a file with the status of one: nothing, a page, other text."""
    if not head:
        raise UpstreamUnreachable("The site's file store sent an empty file.", cause="empty")
    if head.lstrip().startswith(b"<"):
        raise page_error(head, 200)
    is_text = recognise(head)[1].startswith("text/")
    if is_text or recognise(head, declared)[0] not in ("image", "video"):
        raise UpstreamProtocolError("What the site's file store sent is no image and no video.", cause="content")
