"""Completions: one message into a chat, and the answer as a stream (docs/upstream-protocol.md, Completions)."""

from aiohttp import web

from app.emulator import model
from app.emulator.asking import Asked, read
from app.emulator.beginning import Turn, begin, begin_video
from app.emulator.chat_routes import UNKNOWN_CHAT
from app.emulator.envelope import (
    Refused,
    accept,
    body_of,
    decoded,
    refuse_by_name,
    request_id,
    show_page,
    unknown_fault,
)
from app.emulator.faults import GATEWAY_TIMEOUT, NAMES, PUNISH, REFUSALS, Disturbance, Page, Refusal, named_in
from app.emulator.generation import Generation
from app.emulator.keys import STATE
from app.emulator.models import BY_ID, must_think, offers
from app.emulator.options import Era
from app.emulator.output_routes import outputs
from app.emulator.sight import look
from app.emulator.state import EmulatorState
from app.emulator.tree import Chat

BODY_LIMIT = 128 * 1024  # bytes


async def complete(request: web.Request) -> web.StreamResponse:
    """Store the message, start its answer and stream it."""
    state = request.app[STATE]
    raw = await request.read()
    if len(raw) > BODY_LIMIT:
        return show_page(Page(PUNISH, "application/json"))
    asked = read(decoded(raw), request.query.get("chat_id"))
    planned = state.script.coming()
    wished = named_in(request.headers.get("X-Emulator-Fault"), model.newest(asked.text))
    fault = wished or planned.fault
    if fault is not None and fault not in NAMES:
        raise Refused(unknown_fault(fault))
    if fault in REFUSALS:
        if wished is None:
            state.script.use(planned)
        return refuse_by_name(request, fault)
    chat = _place(state, asked)
    sight = await look(state, chat, asked)
    if state.is_locked(chat.id):
        return refuse_by_name(request, "chat_in_progress")
    state.script.use(planned)
    turn = Turn(chat, asked, sight, planned, Disturbance(fault) if fault else None)
    if asked.chat_type == "t2v":
        return await _film(request, turn)
    return await _stream(request, begin(state, turn, outputs(request)))


def missing_parent(parent_id: str, era: Era) -> Refusal:
    """Say that a parent does not exist, in the words of the era."""
    if era == "2025":
        return Refusal("Bad_Request", f"parent_id {parent_id} is not exist", 400)
    return Refusal("PARENT_NOT_FOUND", "The parent does not exist.", 404)


def _place(state: EmulatorState, asked: Asked) -> Chat:
    """Find the chat that is meant. Raises Refused for a wrong chat, model or parent."""
    chat = state.storage.chats.get(asked.chat_id)
    if chat is None:
        raise Refused(_refusal("chat_not_found") if asked.chat_id in state.storage.deleted else UNKNOWN_CHAT)
    if asked.model not in BY_ID:
        raise Refused(_refusal("model_not_found"))
    if not offers(asked.model, asked.chat_type):
        raise Refused(Refusal("Bad_Request", f"The model has no mode {asked.chat_type!r}.", 400))
    if asked.chat_type == "image_edit" and not any(entry.get("type") == "image" for entry in asked.files):
        raise Refused(Refusal("Bad_Request", "A picture to edit is required.", 400))
    if must_think(asked.model) and not asked.config.get("thinking_enabled"):
        raise Refused(Refusal("invalid_input", "This model cannot answer without thinking.", 400))
    if asked.parent_id is not None:
        parent = chat.nodes.get(asked.parent_id)
        if parent is None or parent.role != "assistant":
            raise Refused(missing_parent(asked.parent_id, state.options.era))
    return chat


def _refusal(name: str) -> Refusal:
    refusal = REFUSALS[name]
    assert isinstance(refusal, Refusal)
    return refusal


async def _film(request: web.Request, turn: Turn) -> web.StreamResponse:
    """Begin a video and answer with the id of its task: as JSON, or in a stream for who asks for one or for a fault."""
    film = await begin_video(request.app[STATE], turn, outputs(request))
    if turn.asked.stream or turn.disturbance not in (None, Disturbance.NO_TASK_ID):
        return await _stream(request, film)
    async for _ in film.follow():
        pass
    return accept(request, {"messages": [film.message]})


def _headers(request: web.Request) -> dict[str, str]:
    """Write the headers of a stream."""
    headers = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache",
        "x-request-id": request_id(request),
    }
    return headers if request.app[STATE].options.era == "2025" else headers | {"x-actual-status-code": "200"}


async def _stream(request: web.Request, generation: Generation) -> web.StreamResponse:
    """Show the answer to this reader; when it is gone the generation goes on."""
    disturbance = generation.job.disturbance
    if disturbance is Disturbance.GAVE_UP:
        return show_page(GATEWAY_TIMEOUT)
    response = web.StreamResponse(headers=_headers(request))
    if disturbance is Disturbance.LOST and request.transport is not None:
        request.transport.abort()
        return response
    try:
        await response.prepare(request)
        async for frame in generation.follow():
            await _write(response, frame, disturbance)
        if disturbance is Disturbance.RESET and request.transport is not None:
            request.transport.abort()
        else:
            await response.write_eof()
    except ConnectionError:
        pass  # the reader left, which ends nothing
    return response


async def _write(response: web.StreamResponse, frame: bytes, disturbance: Disturbance | None) -> None:
    raw = frame.replace(b"\n", b"\r\n") if disturbance is Disturbance.CRLF else frame
    pieces = [bytes([byte]) for byte in raw] if disturbance is Disturbance.BYTEWISE else [raw]
    for piece in pieces:
        await response.write(piece)


async def stop(request: web.Request) -> web.StreamResponse:
    """Stop a running answer."""
    state = request.app[STATE]
    body = await body_of(request)
    state.remember(body)
    await state.stop(str(body.get("chat_id", "")), body.get("response_id") or None)
    return accept(request, {"status": True})
