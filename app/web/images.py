"""`POST /v1/images/generations` and `POST /v1/images/edits`."""

import base64
import logging
from collections.abc import Sequence

from aiohttp import web
from msgspec.structs import replace

from app.core.events import AnswerEvent, Ended, Picture
from app.core.pictures import picture_bytes
from app.errors import UpstreamError
from app.openai.images import ImageCall, decode_edit, decode_generation, image_list
from app.openai.media_shapes import MadeImage
from app.web.forms import read_form, read_json
from app.web.headers import turn_headers
from app.web.keys import OWNER, SERVICES, VISIT, Services

_log = logging.getLogger(__name__)


async def generate_images(request: web.Request) -> web.Response:
    """Make images."""
    return await _answer(request, decode_generation(await read_json(request), request[OWNER]))


async def edit_images(request: web.Request) -> web.Response:
    """Make images from images."""
    form = await read_form(request, most=request.app[SERVICES].settings.max_body_bytes)
    return await _answer(request, decode_edit(form, request[OWNER]))


async def _answer(request: web.Request, call: ImageCall) -> web.Response:
    services = request.app[SERVICES]
    wanted = call.request
    if not wanted.model:
        wanted = replace(wanted, model=await services.catalog.default("image"))
    album = _Album(services, call)
    with await services.gateway.answer(wanted) as turn:
        request[VISIT].turn = turn
        body = await turn.answer(album.take, album.written)
    if album.lost is not None and not album.data:
        raise album.lost
    return web.Response(body=body, content_type="application/json", headers=turn_headers(turn, call.ignored))


class _Album:
    """Collects the pictures of an answer, no more than were asked for; `lost` is why one is missing."""

    def __init__(self, services: Services, call: ImageCall) -> None:
        self.data: list[MadeImage] = []
        self.lost: UpstreamError | None = None
        self._services = services
        self._call = call

    async def take(self, batch: Sequence[AnswerEvent]) -> None:
        for event in batch:
            if isinstance(event, Picture) and len(self.data) < self._call.request.count:
                try:
                    self.data.append(await self._picture(event))
                except UpstreamError as problem:
                    _log.warning("A picture is lost, because it could not be fetched: %s", problem)
                    self.lost = problem

    def written(self, end: Ended) -> bytes:
        """Write the whole answer."""
        return image_list(int(self._services.clock.now().timestamp()), self.data, end.usage)

    async def _picture(self, picture: Picture) -> MadeImage:
        """Write a picture at once: its chat is deleted soon after the answer."""
        if not self._call.as_data:
            return MadeImage(url=picture.url)
        _, data = await picture_bytes(self._services.upstream, picture.url)
        return MadeImage(b64_json=base64.b64encode(data).decode())
