"""`POST /v1/messages`, in Anthropic's wire format."""

from aiohttp import web

from app.anthropic.requests import decode_messages
from app.anthropic.writer import MessageWriter
from app.web.answering import answer_as_stream, answer_whole, begin
from app.web.forms import read_json
from app.web.keys import OWNER, SERVICES, VISIT


async def make_message(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, as one JSON object or as a stream."""
    services, visit = request.app[SERVICES], request[VISIT]
    call = decode_messages(await read_json(request), request[OWNER])
    with await begin(services, call.request, {"response_format": call.form_field}) as turn:
        visit.turn = turn
        writer = MessageWriter(
            f"msg_{turn.name.removeprefix('node_')}",
            turn.draft.node.model,
            request_id=visit.request_id,
            shows_thinking=call.shows_thinking,
            used=lambda: turn.used,
        )
        if call.stream:
            return await answer_as_stream(request, turn, writer, call.ignored)
        return await answer_whole(services, turn, writer.whole, call.ignored)
