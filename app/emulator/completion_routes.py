"""Completions: one message into a chat, and the answer as a stream (docs/upstream-protocol.md, Completions)."""

from aiohttp import web

from app.emulator import model
from app.emulator.asking import Asked, read
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
from app.emulator.faults import NAMES, PUNISH, REFUSALS, Disturbance, Page, Refusal, named_in
from app.emulator.generation import Generation, Job, tokens
from app.emulator.keys import STATE
from app.emulator.models import BY_ID, can_think, must_think, offers
from app.emulator.options import Era
from app.emulator.script import Planned
from app.emulator.sight import Sight, look
from app.emulator.state import EmulatorState, Shown
from app.emulator.tree import Chat, new_node

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
    generation = _begin(state, chat, asked, sight, planned, Disturbance(fault) if fault else None)
    return await _stream(request, generation)


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


def _begin(
    state: EmulatorState,
    chat: Chat,
    asked: Asked,
    sight: Sight,
    planned: Planned,
    disturbance: Disturbance | None,
) -> Generation:
    """Put the message and its answer into the tree and start to generate."""
    config = asked.config
    seen = sight.seen
    user = new_node("user", asked.parent_id, asked.text, asked.model, config)
    answer = new_node("assistant", user.id, "", asked.model, config)
    user.files = asked.files
    user.chat_type = answer.chat_type = asked.chat_type
    chat.add(user)
    chat.add(answer)
    state.remember(
        Shown(
            chat_id=chat.id,
            parent_id=asked.parent_id,
            user_action=asked.user_action,
            model=asked.model,
            feature_config=config,
            text=asked.text,
            seen=seen,
            chat_type=asked.chat_type,
            sizes=asked.sizes,
            files=sight.files,
        )
    )
    said = model.answer(seen, sight.files, sight.earlier)
    thoughts = said.thoughts if planned.thinking is None else tuple(planned.thinking)
    new = state.options.era == "2026"
    answer.summary = new and config.get("thinking_format") == "summary"

    async def keep() -> None:
        chat.name_itself()
        await state.storage.keep_turn(chat, user, answer)

    job = Job(
        chat=chat,
        user=user,
        answer=answer,
        text=said.text if planned.text is None else planned.text,
        thoughts=thoughts if config.get("thinking_enabled") and can_think(asked.model) else (),
        shown_tokens=sum(tokens(shown) for _, shown in seen),
        image_tokens=sum(file.tokens for file in sight.files),
        planned=planned,
        disturbance=Disturbance.EMPTY if asked.role == "system" else disturbance,
        index="0" if new else None,
        phases="output_schema" in config,
        summary=answer.summary,
        chunk_delay=state.options.chunk_delay,
        keep=keep,
    )
    return state.generate(job)


async def _stream(request: web.Request, generation: Generation) -> web.StreamResponse:
    """Show the answer to this reader; when it is gone the generation goes on."""
    disturbance = generation.job.disturbance
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "x-request-id": request_id(request),
        }
    )
    if request.app[STATE].options.era == "2026":
        response.headers["x-actual-status-code"] = "200"
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
    data = frame.replace(b"\n", b"\r\n") if disturbance is Disturbance.CRLF else frame
    pieces = [bytes([byte]) for byte in data] if disturbance is Disturbance.BYTEWISE else [data]
    for piece in pieces:
        await response.write(piece)


async def stop(request: web.Request) -> web.StreamResponse:
    """Stop a running answer."""
    state = request.app[STATE]
    body = await body_of(request)
    state.remember(body)
    await state.stop(str(body.get("chat_id", "")))
    return accept(request, {"status": True})
