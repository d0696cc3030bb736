"""Completions: one message into a chat, and the answer as a stream (docs/upstream-protocol.md, Completions)."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from app.emulator import model
from app.emulator.chat_routes import UNKNOWN_CHAT
from app.emulator.envelope import (
    Refused,
    accept,
    body_of,
    decoded,
    refuse_by_name,
    request_id,
    require,
    show_page,
    unknown_fault,
)
from app.emulator.faults import NAMES, PUNISH, REFUSALS, Disturbance, Page, Refusal, named_in
from app.emulator.generation import Generation, Job, tokens
from app.emulator.keys import STATE
from app.emulator.models import BY_ID, can_think, must_think
from app.emulator.options import Era
from app.emulator.script import Planned
from app.emulator.state import EmulatorState, Shown
from app.emulator.tree import Chat, new_node

BODY_LIMIT = 128 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed completion: the ids are not looked up yet."""

    chat_id: str
    parent_id: str | None
    model: str
    role: str
    text: str
    user_action: str
    config: dict[str, Any]


async def complete(request: web.Request) -> web.StreamResponse:
    """Store the message, start its answer and stream it."""
    state = request.app[STATE]
    raw = await request.read()
    if len(raw) > BODY_LIMIT:
        return show_page(Page(PUNISH, "application/json"))
    asked = _asked(decoded(raw), request.query.get("chat_id"))
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
    if state.is_locked(chat.id):
        return refuse_by_name(request, "chat_in_progress")
    state.script.use(planned)
    generation = _begin(state, chat, asked, planned, Disturbance(fault) if fault else None)
    return await _stream(request, generation)


def _asked(body: dict[str, Any], chat_id: str | None) -> Asked:
    """Read a completion's body. Raises Refused."""
    given = body if chat_id else {name: value for name, value in body.items() if name != "chat_id"}
    require(given, "chat_id", "model", "messages", "stream")
    messages = body["messages"]
    if not isinstance(messages, list) or not messages or not isinstance(messages[0], dict):
        raise Refused(Refusal("RequestValidationError", ["Field 'messages': one message is required"], 422))
    if len(messages) > 1:
        raise Refused(Refusal("Bad_Request", "Invalid input too many messages.", 400))
    message: dict[str, Any] = messages[0]
    if message.get("role") == "function":
        raise Refused(Refusal("Bad_Request", "Something wrong with request!", 400))
    parent_id = message.get("parent_id") or body.get("parent_id")
    config = message.get("feature_config")
    return Asked(
        chat_id=str(chat_id),
        parent_id=str(parent_id) if parent_id else None,
        model=str(body["model"]),
        role=str(message.get("role", "user")),
        text=_text(message.get("content")),
        user_action=str(message.get("user_action", "")),
        config=config if isinstance(config, dict) else {},
    )


def _text(content: Any) -> str:
    """Join the text parts of a message's content, which is a text or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


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
    state: EmulatorState, chat: Chat, asked: Asked, planned: Planned, disturbance: Disturbance | None
) -> Generation:
    """Put the message and its answer into the tree and start to generate."""
    config = asked.config
    seen = [(node.role, node.text) for node in chat.branch(asked.parent_id)] + [("user", asked.text)]
    user = new_node("user", asked.parent_id, asked.text, asked.model, config)
    answer = new_node("assistant", user.id, "", asked.model, config)
    chat.add(user)
    chat.add(answer)
    state.remember(Shown(chat.id, asked.parent_id, asked.user_action, asked.model, config, asked.text, seen))
    said = model.answer(seen)
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
