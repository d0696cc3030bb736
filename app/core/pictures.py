"""Bring the pictures that upstream made to clients that want the bytes."""

import logging

from app.core.file_types import HEAD_BYTES, recognise
from app.core.ports import Upstream
from app.errors import UpstreamCut, UpstreamProtocolError, UpstreamUnreachable

_log = logging.getLogger(__name__)
_MOST_BYTES = 32 * 1024 * 1024


async def picture_bytes(upstream: Upstream, url: str) -> tuple[str, bytes]:
    """Return a picture's content type and bytes, asked for once more where they did not come. Raises UpstreamError.

    Its chat may be gone soon, and the picture with it.
    """
    try:
        return await _fetched(upstream, url)
    except (UpstreamUnreachable, UpstreamCut) as problem:
        _log.info("A picture is asked for once more: %s", problem)
        return await _fetched(upstream, url)


async def _fetched(upstream: Upstream, url: str) -> tuple[str, bytes]:
    async with upstream.download(url) as download:
        data = bytearray()
        async for piece in download:
            data += piece
            if len(data) > _MOST_BYTES:
                raise UpstreamProtocolError("The site's picture is larger than 32 MiB.", cause="picture")
        return recognise(bytes(data[:HEAD_BYTES]), download.content_type)[1], bytes(data)
