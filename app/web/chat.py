"""`POST /v1/chat/completions`."""

from collections.abc import Sequence

from aiohttp import web

from app.core.events import AnswerEvent, Ended
from app.core.turn import Send, Turn
from app.errors import GatewayError
from app.openai.errors import error_body
from app.openai.requests import decode_chat
from app.openai.responses import DONE, ChunkWriter, Heading, completion
from app.web.event_stream import EventStream
from app.web.forms import read_json
from app.web.ignored import ignored_header
from app.web.keys import OWNER, SERVICES, VISIT, Services
from app.web.middleware import own_fault
from app.web.pictures import with_data


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, as one JSON object or as a stream."""
    services = request.app[SERVICES]
    call = decode_chat(await read_json(request), request[OWNER])
    with await services.gateway.answer(call.request) as turn:
        request[VISIT].turn = turn
        node = turn.draft.node
        heading = Heading(
            id=f"chatcmpl-{node.id.removeprefix('node_')}",
            created=int(services.clock.now().timestamp()),
            model=node.model,
        )
        headers = {"X-Session-Id": node.session_id, "X-Session-Match": node.match, **ignored_header(call.ignored)}
        if call.stream:
            writer = ChunkWriter(heading, include_usage=call.include_usage, old_functions=call.old_functions)
            stream = EventStream(request, headers, keep_alive=services.settings.keep_alive_seconds)
            await _stream(turn, services, stream, writer)
            return stream.response
        events: list[AnswerEvent] = []

        async def keep(batch: Sequence[AnswerEvent]) -> None:
            events.extend(batch)

        await turn.answer(_shown(services, keep))
        return web.Response(
            body=completion(heading, events, old_functions=call.old_functions),
            content_type="application/json",
            headers=headers,
        )


def _shown(services: Services, send: Send) -> Send:
    """Return what sends pictures in the form that IMAGES_AS says."""
    return send if services.settings.images_as == "url" else with_data(services.upstream, send)


async def _stream(turn: Turn, services: Services, stream: EventStream, writer: ChunkWriter) -> None:
    """Relay the answer as it comes. An error after the first byte becomes a frame of its own."""

    async def send(batch: Sequence[AnswerEvent]) -> None:
        frames = writer.write(batch)
        await (stream.end(frames) if isinstance(batch[-1], Ended) else stream.send(frames))

    async with stream:
        try:
            await turn.answer(_shown(services, send))
        except ConnectionError:
            raise
        except Exception as problem:
            if not stream.opened:
                raise
            turn.abandon(problem)
            error = problem if isinstance(problem, GatewayError) else own_fault(problem)
            await stream.end(b"data: " + error_body(error) + b"\n\n" + DONE)
