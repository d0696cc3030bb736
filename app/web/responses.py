"""`POST /v1/responses`, and what is kept of a response."""

from aiohttp import web

from app.core.turn import Turn
from app.errors import InvalidRequest, PreviousResponseNotFound, ResponseNotFound, ResponseUnfinished, TextsNotKept
from app.openai.response_kept import kept_response
from app.openai.response_requests import ResponseCall, answer_name, decode_response, previous_not_found, response_id
from app.openai.response_writer import ResponseWriter
from app.openai.responses import Heading
from app.web.answering import answer_as_stream, answer_whole
from app.web.forms import read_json
from app.web.keys import OWNER, SERVICES, VISIT

_FIELDS = {"messages": "input", "response_format": "text.format"}  # as chat completions call them, and this route does


async def make_response(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, or what follows an earlier response, as one JSON object or as a stream."""
    services = request.app[SERVICES]
    call = decode_response(await read_json(request), request[OWNER])
    with await _begun(request, call) as turn:
        request[VISIT].turn = turn
        created = int(services.clock.now().timestamp())
        writer = ResponseWriter(Heading(response_id(turn.name), created, turn.draft.node.model), call)
        if call.stream:
            return await answer_as_stream(request, turn, writer, call.ignored)
        return await answer_whole(services, turn, writer.whole, call.ignored)


async def show_response(request: web.Request) -> web.Response:
    """Show what is kept of a response."""
    services, owner, wanted = request.app[SERVICES], request[OWNER], request.match_info["id"]
    name = answer_name(wanted)
    if name is not None and services.gateway.is_writing(name, owner):
        raise ResponseUnfinished("The response is still being written.")
    kept = None if name is None else await services.store.kept_answer(name, owner)
    if kept is None:
        raise ResponseNotFound(f"Response with id '{wanted}' not found.")
    if kept.state == "open":
        raise ResponseUnfinished("The response is still being written.")
    if kept.text is None or kept.reasoning is None:
        raise TextsNotKept("The texts of this response are not kept here.")
    return web.Response(body=kept_response(wanted, kept, kept.text, kept.reasoning), content_type="application/json")


async def _begun(request: web.Request, call: ResponseCall) -> Turn:
    try:
        return await request.app[SERVICES].gateway.answer(call.request)
    except PreviousResponseNotFound:
        raise previous_not_found(call.body.previous_response_id or "") from None
    except InvalidRequest as problem:
        problem.param = _FIELDS.get(problem.param or "", problem.param)
        raise
