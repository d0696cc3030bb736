"""`/v1/videos` and what is below it."""

import logging

from aiohttp import web
from msgspec.structs import replace

from app.errors import UnsupportedFeature, UpstreamError
from app.openai.media_shapes import DeletedVideo
from app.openai.paging import read_page
from app.openai.videos import (
    MOST_LISTED,
    USUALLY_LISTED,
    decode_video,
    decode_video_form,
    video_list,
    video_object,
)
from app.web.answers import json_answer
from app.web.forms import FORM, read_form, read_json
from app.web.headers import session_headers
from app.web.keys import OWNER, SERVICES, VISIT

_log = logging.getLogger(__name__)


async def make_video(request: web.Request) -> web.Response:
    """Begin to make a video."""
    services, owner = request.app[SERVICES], request[OWNER]
    if request.content_type == FORM:
        call = decode_video_form(await read_form(request, most=services.settings.max_body_bytes), owner)
    else:
        call = decode_video(await read_json(request), owner)
    wanted = call.request
    if not wanted.model:
        wanted = replace(wanted, model=await services.catalog.default("video"))
    video = await services.videos.make(wanted, call.size)
    request[VISIT].model = video.model
    headers = session_headers(video.session_id, "new", call.ignored)
    return json_answer(video_object(video, begun=True), headers)


async def show_video(request: web.Request) -> web.Response:
    """Say how far a video is."""
    video = await request.app[SERVICES].videos.show(request[OWNER], request.match_info["id"])
    return json_answer(video_object(video))


async def list_videos(request: web.Request) -> web.Response:
    """List videos, the newest first unless `order` says otherwise."""
    page = read_page(request.query, usual=USUALLY_LISTED, most=MOST_LISTED)
    found = await request.app[SERVICES].videos.page(
        request[OWNER], after=page.after, limit=page.limit + 1, newest_first=page.newest_first
    )
    return json_answer(video_list(found, page.limit))


async def video_content(request: web.Request) -> web.StreamResponse:
    """Pass a video on from the site."""
    if request.query.get("variant", "video") != "video":
        raise UnsupportedFeature("'variant': there is only the video.", param="variant")
    video_id = request.match_info["id"]
    async with request.app[SERVICES].videos.content(request[OWNER], video_id) as download:
        response = web.StreamResponse(headers={"Content-Type": download.content_type})
        response.content_length = download.size
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        try:
            async for piece in download:
                await response.write(piece)
                request[VISIT].sent += len(piece)
        except UpstreamError as problem:
            _log.warning("The video %s was cut on its way: %s", video_id, problem)
            if request.transport is not None:
                request.transport.abort()  # a clean end would look like the whole video
            return response
        await response.write_eof()
        return response


async def delete_video(request: web.Request) -> web.Response:
    """Forget a video."""
    video_id = request.match_info["id"]
    await request.app[SERVICES].videos.remove(request[OWNER], video_id)
    return json_answer(DeletedVideo(id=video_id, object="video.deleted", deleted=True))
