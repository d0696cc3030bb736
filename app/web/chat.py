"""`POST /v1/chat/completions`."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from app.core.events import AnswerEvent, Ended
from app.core.turn import Send, Turn
from app.errors import reason_of
from app.openai.requests import ChatCall, decode_chat
from app.openai.responses import ChunkWriter, Heading, completion, error_frames
from app.web.event_stream import EventStream
from app.web.forms import read_json
from app.web.headers import turn_headers
from app.web.keys import OWNER, SERVICES, VISIT, Services
from app.web.middleware import told
from app.web.pictures import with_data


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, as one JSON object or as a stream."""
    services = request.app[SERVICES]
    call = decode_chat(await read_json(request), request[OWNER])
    with await services.gateway.answer(call.request) as turn:
        request[VISIT].turn = turn
        return await (_stream(request, turn, call) if call.stream else _whole(services, turn, call))


def _heading(services: Services, turn: Turn) -> Heading:
    created = int(services.clock.now().timestamp())
    return Heading(id=f"chatcmpl-{turn.name.removeprefix('node_')}", created=created, model=turn.draft.node.model)


def _shown(services: Services, send: Send) -> Send:
    """Return what sends pictures in the form that IMAGES_AS says."""
    return send if services.settings.images_as == "url" else with_data(services.upstream, send)


async def _whole(services: Services, turn: Turn, call: ChatCall) -> web.Response:
    """Collect the answer; what can be written at its end only is written while the disk works."""
    heading = _heading(services, turn)
    events: list[AnswerEvent] = []

    async def keep(batch: Sequence[AnswerEvent]) -> None:
        events.extend(batch)

    def written(end: Ended) -> web.Response:
        body = completion(heading, events, end, old_functions=call.old_functions)
        return web.Response(body=body, content_type="application/json", headers=turn_headers(turn, call.ignored))

    return await turn.answer(_shown(services, keep), written)


async def _stream(request: web.Request, turn: Turn, call: ChatCall) -> web.StreamResponse:
    """Relay the answer as it comes. An error after the first byte becomes a frame of its own."""
    services = request.app[SERVICES]
    heading = _heading(services, turn)
    writer = ChunkWriter(heading, include_usage=call.include_usage, old_functions=call.old_functions)
    stream = EventStream(request, turn_headers(turn, call.ignored), keep_alive=services.settings.keep_alive_seconds)

    async def send(batch: Sequence[AnswerEvent]) -> None:
        await stream.send(writer.write(batch))

    async with stream:
        try:
            await stream.end(await turn.answer(_shown(services, send), writer.end))
        except ConnectionError:
            raise
        except (Exception, asyncio.CancelledError) as problem:
            reason = reason_of(problem)
            if not stream.opened or isinstance(reason, asyncio.CancelledError):
                raise
            turn.abandon(reason)
            await stream.end(error_frames(told(reason)))
    return stream.response
