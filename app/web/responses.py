"""`POST /v1/responses`, and what is kept of a response."""

from aiohttp import web
from msgspec.structs import replace

from app.core.messages import Message
from app.core.ports import KeptAnswer
from app.core.turn import Turn
from app.errors import PreviousResponseNotFound, ResponseNotFound, ResponseUnfinished, TextsNotKept
from app.openai.response_items import references
from app.openai.response_kept import kept_item, kept_response
from app.openai.response_requests import (
    ResponseBody,
    ResponseCall,
    answer_name,
    decode_body,
    previous_not_found,
    read_body,
    response_id,
)
from app.openai.response_writer import ResponseWriter
from app.openai.responses import Heading
from app.web.answering import answer_as_stream, answer_whole, begin
from app.web.forms import read_json
from app.web.keys import OWNER, SERVICES, VISIT, Services

_ITEM_UNFINISHED = "An item that 'input' refers to is still being written."
_FIELDS = {"messages": "input", "response_format": "text.format"}  # as chat completions call them, and this route does


async def make_response(request: web.Request) -> web.StreamResponse:
    """Answer a conversation, or what follows an earlier response, as one JSON object or as a stream."""
    services, owner = request.app[SERVICES], request[OWNER]
    body, ignored = decode_body(await read_json(request))
    call = read_body(body, ignored, owner, await _referred_to(services, body, owner))
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
    kept = None if name is None else await _kept(services, name, owner, "The response is still being written.")
    if kept is None:
        raise ResponseNotFound(f"Response with id '{wanted}' not found.")
    if kept.text is None or kept.reasoning is None:
        raise TextsNotKept("The texts of this response are not kept here.")
    return web.Response(body=kept_response(wanted, kept, kept.text, kept.reasoning), content_type="application/json")


async def _referred_to(services: Services, body: ResponseBody, owner: str) -> dict[str, Message]:
    """Return the items of stored answers that a request refers to, as messages.

    Raises ResponseUnfinished, TextsNotKept.
    """
    found: dict[str, Message] = {}
    answers: dict[str, KeptAnswer | None] = {}
    told: set[str] = set()  # answers whose words are among them
    for item_id, reference in references(body.input).items():
        if reference.answer not in answers:
            answers[reference.answer] = await _kept(services, reference.answer, owner, _ITEM_UNFINISHED, "input")
        kept = answers[reference.answer]
        if kept is None:
            continue
        if kept.text is None:
            raise TextsNotKept(f"The texts of the item '{item_id}' are not kept here.", param="input")
        item = kept_item(reference, kept, kept.text)
        if item is not None:
            found[item_id] = replace(item, text="") if reference.answer in told else item
        if reference.kind == "msg":
            told.add(reference.answer)
    return found


async def _kept(
    services: Services, name: str, owner: str, unfinished: str, param: str | None = None
) -> KeptAnswer | None:
    """Return what is kept of an answer, once its end is. Raises ResponseUnfinished, in these words, before that."""
    if not await services.gateway.is_writing(name, owner):
        kept = await services.store.kept_answer(name, owner)
        if kept is None or kept.state != "open":
            return kept
    raise ResponseUnfinished(unfinished, param=param)


async def _begun(request: web.Request, call: ResponseCall) -> Turn:
    try:
        return await begin(request.app[SERVICES], call.request, _FIELDS)
    except PreviousResponseNotFound:
        raise previous_not_found(call.body.previous_response_id or "") from None
