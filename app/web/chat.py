"""`POST /v1/chat/completions`."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from aiohttp import web

from app.core.events import AnswerEvent, Picture
from app.core.turn import Turn
from app.errors import GatewayError, InvalidRequest, UnsupportedMediaType
from app.openai.errors import error_body
from app.openai.requests import ChatCall, decode_chat
from app.openai.responses import DONE, ChunkWriter, Heading, completion
from app.web.event_stream import EventStream
from app.web.keys import OWNER, SERVICES, VISIT, Services
from app.web.pictures import with_data

_IGNORED_BYTES = 1024


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, as one JSON object or as a stream."""
    if request.content_type != "application/json":
        raise UnsupportedMediaType(f"The body is {request.content_type}, not JSON.")
    services = request.app[SERVICES]
    call = decode_chat(await read_body(request), request[OWNER])
    async with services.gateway.answer(call.request) as turn:
        request[VISIT].turn = turn
        node = turn.draft.node
        heading = Heading(
            id=f"chatcmpl-{node.id.removeprefix('node_')}",
            created=int(services.clock.now().timestamp()),
            model=node.model,
        )
        headers = {"X-Session-Id": node.session_id, "X-Session-Match": node.match, **_ignored(call)}
        if call.stream:
            writer = ChunkWriter(heading, include_usage=call.include_usage, old_functions=call.old_functions)
            stream = EventStream(request, headers, keep_alive=services.settings.keep_alive_seconds)
            return await _stream(_batches(turn, services), turn, stream, writer)
        events: list[AnswerEvent] = []
        async with aclosing(_batches(turn, services)) as batches:
            async for batch in batches:
                events += batch
        return web.Response(
            body=completion(heading, events, old_functions=call.old_functions),
            content_type="application/json",
            headers=headers,
        )


async def read_body(request: web.Request) -> bytes:
    """Read the whole body. Raises InvalidRequest if it cannot be decompressed or was cut short."""
    try:
        return await request.read()
    except web.RequestPayloadError as problem:
        raise InvalidRequest(f"The request body could not be read: {problem}.") from problem


async def _batches(turn: Turn, services: Services) -> AsyncGenerator[Sequence[AnswerEvent], None]:
    """Give the answer as the turn does, pictures in the form that IMAGES_AS says."""
    async with aclosing(turn.answer()) as batches:
        async for batch in batches:
            if services.settings.images_as == "url" or not any(isinstance(event, Picture) for event in batch):
                yield batch
                continue
            async for part in with_data(services.upstream, batch):
                yield part


async def _stream(
    batches: AsyncGenerator[Sequence[AnswerEvent], None], turn: Turn, stream: EventStream, writer: ChunkWriter
) -> web.StreamResponse:
    """Relay the answer as it comes. An error after the first byte becomes a frame of its own."""
    async with stream:
        try:
            async with aclosing(batches):
                async for batch in batches:
                    await stream.send(writer.write(batch))
        except GatewayError as problem:
            if not stream.opened:
                raise
            turn.abandon(problem)
            await stream.send(b"data: " + error_body(problem) + b"\n\n" + DONE)
        return await stream.end()


def _ignored(call: ChatCall) -> dict[str, str]:
    """Name the parameters that had no effect; a header holds token characters only, and no more than 1 KB of them."""
    names = ",".join(re.sub(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]", "_", name) for name in call.ignored)
    return {"X-Ignored-Params": names[:_IGNORED_BYTES]} if names else {}
