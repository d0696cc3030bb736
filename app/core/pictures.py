"""Bring the pictures that upstream made to clients that want the bytes."""

from app.core.ports import Upstream
from app.errors import UpstreamProtocolError

_MOST_BYTES = 32 * 1024 * 1024


async def picture_bytes(upstream: Upstream, url: str) -> tuple[str, bytes]:
    """Return a picture's content type and bytes. Raises UpstreamError."""
    async with upstream.download(url) as download:
        data = bytearray()
        async for piece in download:
            data += piece
            if len(data) > _MOST_BYTES:
                raise UpstreamProtocolError("The site's picture is larger than 32 MiB.", cause="picture")
        return download.content_type, bytes(data)
