"""Give pictures to clients as data URLs, where IMAGES_AS says so."""

import base64
import logging
from collections.abc import Sequence

from msgspec.structs import replace

from app.core.events import AnswerEvent, Picture
from app.core.pictures import picture_bytes
from app.core.ports import Upstream
from app.core.turn import Send
from app.errors import UpstreamError

_log = logging.getLogger(__name__)


def with_data(upstream: Upstream, send: Send) -> Send:
    """Return what sends events on, each picture with its data in the place of its address.

    What comes before a picture does not wait for it. One that cannot be had keeps its address.
    """

    async def send_on(events: Sequence[AnswerEvent]) -> None:
        ready: list[AnswerEvent] = []
        for event in events:
            if not isinstance(event, Picture):
                ready.append(event)
                continue
            if ready:
                await send(ready)
            ready = [replace(event, url=await _data_url(upstream, event.url))]
        if ready:
            await send(ready)

    return send_on


async def _data_url(upstream: Upstream, url: str) -> str:
    try:
        content_type, data = await picture_bytes(upstream, url)
    except UpstreamError as problem:
        _log.warning("A picture is passed on by its address, because it could not be fetched: %s", problem)
        return url
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"
