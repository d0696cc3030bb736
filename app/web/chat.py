"""`POST /v1/chat/completions`."""

from collections.abc import Sequence

from aiohttp import web

from app.core.events import AnswerEvent, Ended
from app.core.turn import Turn
from app.openai.requests import ChatCall, decode_chat
from app.openai.responses import ChunkWriter, Heading, completion
from app.web.answering import answer_as_stream, answer_whole
from app.web.forms import read_json
from app.web.keys import OWNER, SERVICES, VISIT, Services


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


async def _whole(services: Services, turn: Turn, call: ChatCall) -> web.Response:
    heading = _heading(services, turn)

    def write(events: Sequence[AnswerEvent], end: Ended) -> bytes:
        return completion(heading, events, end, old_functions=call.old_functions)

    return await answer_whole(services, turn, write, call.ignored)


async def _stream(request: web.Request, turn: Turn, call: ChatCall) -> web.StreamResponse:
    heading = _heading(request.app[SERVICES], turn)
    writer = ChunkWriter(heading, include_usage=call.include_usage, old_functions=call.old_functions)
    return await answer_as_stream(request, turn, writer, call.ignored)
