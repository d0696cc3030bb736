"""`POST /v1/images/generations` and `POST /v1/images/edits`."""

import base64
import logging
from contextlib import aclosing

from aiohttp import web
from msgspec.structs import replace

from app.core.events import Ended, Picture, Usage
from app.core.pictures import picture_bytes
from app.errors import UpstreamError
from app.openai.images import ImageCall, decode_edit, decode_generation, image_list
from app.web.forms import read_form, read_json
from app.web.ignored import ignored_header
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
    data: list[dict[str, str]] = []
    lost: UpstreamError | None = None
    usage: Usage | None = None
    async with services.gateway.answer(wanted) as turn:
        request[VISIT].turn = turn
        async with aclosing(turn.answer()) as batches:
            async for batch in batches:
                for event in batch:
                    if isinstance(event, Picture) and len(data) < wanted.count:
                        try:
                            data.append(await _written(services, event, call))
                        except UpstreamError as problem:
                            _log.warning("A picture is lost, because it could not be fetched: %s", problem)
                            lost = problem
                    elif isinstance(event, Ended):
                        usage = event.usage
    if lost is not None and not data:
        raise lost
    body = image_list(int(services.clock.now().timestamp()), data, usage)
    return web.Response(body=body, content_type="application/json", headers=ignored_header(call.ignored))


async def _written(services: Services, picture: Picture, call: ImageCall) -> dict[str, str]:
    """Write a picture at once: its chat is deleted soon after the answer."""
    if not call.as_data:
        return {"url": picture.url}
    _, data = await picture_bytes(services.upstream, picture.url)
    return {"b64_json": base64.b64encode(data).decode()}
