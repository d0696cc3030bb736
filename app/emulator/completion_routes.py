"""Completions: one message into a chat, and the answer as a stream (docs/upstream-protocol.md, Completions)."""

import json
from typing import Any

from aiohttp import web

from app.emulator import model
from app.emulator.chat_routes import missing_chat
from app.emulator.envelope import accept, refuse, refuse_by_name, show_page
from app.emulator.faults import NAMES, PUNISH, REFUSALS, Disturbance, Page, Refusal, named_in
from app.emulator.generation import Generation, Job, tokens
from app.emulator.keys import STATE
from app.emulator.models import BY_ID, must_think
from app.emulator.script import Planned
from app.emulator.state import EmulatorState, Shown
from app.emulator.tree import Chat, new_node

BODY_LIMIT = 128 * 1024


async def complete(request: web.Request) -> web.StreamResponse:
    """Store the message, start its answer and stream it."""
    state = request.app[STATE]
    era = state.options.era
    raw = await request.read()
    if len(raw) > BODY_LIMIT:
        return show_page(Page(PUNISH, "application/json"))
    try:
        body: dict[str, Any] = json.loads(raw)
        message, chat_id = _checked(body, request.query.get("chat_id"))
    except Problem as problem:
        return refuse(request, problem.refusal, era)
    planned = state.script.next_answer()
    fault = named_in(request.headers.get("X-Emulator-Fault"), _text(message)) or planned.fault
    if fault is not None and fault not in NAMES:
        return refuse(
            request, Refusal("Bad_Request", f"The emulator has no fault {fault!r}: {', '.join(NAMES)}", 400), era
        )
    if fault in REFUSALS:
        return refuse_by_name(request, fault, era)
    try:
        chat, parent_id = _place(state, chat_id, body, message)
    except Problem as problem:
        return refuse(request, problem.refusal, era)
    if state.is_locked(chat_id):
        return refuse_by_name(request, "chat_in_progress", era)
    generation = _begin(state, chat, parent_id, body, message, planned, Disturbance(fault) if fault else None)
    return await _stream(request, generation)


class Problem(Exception):
    """A request that the site refuses."""

    def __init__(self, code: str, details: Any, status: int) -> None:
        super().__init__(code)
        self.refusal = Refusal(code, details, status)


def _checked(body: dict[str, Any], chat_id: str | None) -> tuple[dict[str, Any], str]:
    missing = [name for name in ("chat_id", "model", "messages", "stream") if name not in body]
    if missing or not chat_id:
        fields = [f"Field '{name}': Field required" for name in missing or ["chat_id"]]
        raise Problem("RequestValidationError", fields, 422)
    if len(body["messages"]) != 1:
        raise Problem("Bad_Request", "Invalid input too many messages.", 400)
    message: dict[str, Any] = body["messages"][0]
    if message.get("role") == "function":
        raise Problem("Bad_Request", "Something wrong with request!", 400)
    return message, chat_id


def _place(
    state: EmulatorState, chat_id: str, body: dict[str, Any], message: dict[str, Any]
) -> tuple[Chat, str | None]:
    """Find the chat and the parent; a wrong one of either is refused."""
    chat = state.storage.chats.get(chat_id)
    if chat is None:
        gone = missing_chat(state, chat_id)
        raise Problem(gone.code, gone.details, gone.status)
    if body["model"] not in BY_ID:
        raise Problem("Not_Found", "Model not found", 404)
    if must_think(body["model"]) and not message.get("feature_config", {}).get("thinking_enabled"):
        raise Problem("invalid_input", "This model cannot answer without thinking.", 400)
    parent_id = message.get("parent_id") or body.get("parent_id")
    if parent_id is None:
        return chat, None
    parent = chat.nodes.get(parent_id)
    if parent is None or parent.role != "assistant":
        if state.options.era == "2025":
            raise Problem("Bad_Request", f"parent_id {parent_id} is not exist", 400)
        raise Problem("PARENT_NOT_FOUND", "The parent does not exist.", 404)
    return chat, parent_id


def _text(message: dict[str, Any]) -> str:
    content = message.get("content", "")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return str(content)


def _begin(
    state: EmulatorState,
    chat: Chat,
    parent_id: str | None,
    body: dict[str, Any],
    message: dict[str, Any],
    planned: Planned,
    disturbance: Disturbance | None,
) -> Generation:
    """Put the message and its answer into the tree and start to generate."""
    text, config, name = _text(message), message.get("feature_config", {}), body["model"]
    seen = [(node.role, node.text) for node in chat.branch(parent_id)] + [("user", text)]
    user = new_node("user", parent_id, text, name, config)
    answer = new_node("assistant", user.id, "", name, config)
    chat.add(user)
    chat.add(answer)
    state.shown.append(Shown(chat.id, parent_id, message.get("user_action", ""), name, config, text, seen))
    said = model.answer(seen)
    thoughts = said.thoughts if planned.thinking is None else tuple(planned.thinking)
    if message.get("role") == "system":
        planned, disturbance = Planned(text=""), Disturbance.EMPTY

    async def keep() -> None:
        chat.name_itself()
        await state.storage.keep_turn(chat, user, answer)

    new = state.options.era == "2026"
    job = Job(
        chat=chat,
        user=user,
        answer=answer,
        text=said.text if planned.text is None else planned.text,
        thoughts=thoughts if config.get("thinking_enabled") else (),
        shown_tokens=sum(tokens(shown) for _, shown in seen),
        planned=planned,
        disturbance=disturbance,
        index="0" if new else None,
        phases="output_schema" in config,
        summary=new and config.get("thinking_format") == "summary",
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
            "x-actual-status-code": "200",
            "x-request-id": request.headers.get("X-Request-Id", ""),
        }
    )
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
    body: dict[str, Any] = await request.json()
    state.stops.append(body)
    state.stop(str(body.get("chat_id", "")))
    return accept(request, {"status": True})
