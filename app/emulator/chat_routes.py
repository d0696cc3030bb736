"""Chats: making, listing, reading and deleting them (docs/upstream-protocol.md, Chats)."""

from typing import Any

from aiohttp import web

from app.emulator.envelope import accept, refuse, refuse_by_name
from app.emulator.faults import REFUSALS, Refusal
from app.emulator.keys import STATE
from app.emulator.models import BY_ID
from app.emulator.state import EmulatorState
from app.emulator.tree import new_chat

UNKNOWN_CHAT = Refusal("Not_Found", "The chat does not exist.", 404)
UNKNOWN_MODEL = REFUSALS["model_not_found"]


def missing_chat(state: EmulatorState, chat_id: str) -> Refusal:
    """Return what the site says of a chat that it does not have: deleted and unknown differ."""
    gone = REFUSALS["chat_not_found"]
    assert isinstance(gone, Refusal)
    return gone if chat_id in state.storage.deleted else UNKNOWN_CHAT


async def create(request: web.Request) -> web.StreamResponse:
    """Make an empty chat."""
    state = request.app[STATE]
    era = state.options.era
    fault = request.headers.get("X-Emulator-Fault") or state.script.next_fault("new")
    if fault:
        return refuse_by_name(request, fault, era)
    body: dict[str, Any] = await request.json()
    missing = [name for name in ("models", "chat_mode", "chat_type", "timestamp") if name not in body]
    if missing:
        fields = [f"Field '{name}': Field required" for name in missing]
        return refuse(request, Refusal("RequestValidationError", fields, 422), era)
    if body["models"][0] not in BY_ID:
        return refuse_by_name(request, "model_not_found", era)
    chat = new_chat(body["models"][0])
    await state.storage.add_chat(chat)
    return accept(request, {"id": chat.id})


async def list_page(request: web.Request) -> web.StreamResponse:
    """Answer one page of the list, newest first; past the end it is empty."""
    state = request.app[STATE]
    page = max(1, int(request.query.get("page", "1")))
    size = state.options.page_size
    newest = sorted(state.storage.chats.values(), key=lambda chat: chat.updated_at, reverse=True)
    return accept(request, [chat.row() for chat in newest[(page - 1) * size : page * size]])


async def read(request: web.Request) -> web.StreamResponse:
    """Answer a chat with its whole tree."""
    state = request.app[STATE]
    chat_id = request.match_info["chat_id"]
    chat = state.storage.chats.get(chat_id)
    if chat is None:
        return refuse(request, UNKNOWN_CHAT, state.options.era)
    return accept(request, chat.detail(state.tokens.user_id))


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete one chat."""
    state = request.app[STATE]
    chat_id = request.match_info["chat_id"]
    fault = state.script.next_fault("delete")
    if fault:
        return refuse_by_name(request, fault, state.options.era)
    if chat_id not in state.storage.chats:
        return refuse(request, UNKNOWN_CHAT, state.options.era)
    await state.storage.delete(chat_id)
    return accept(request, {"status": True})


async def batch_delete(request: web.Request) -> web.StreamResponse:
    """Delete the chats that the body names."""
    state = request.app[STATE]
    await state.storage.delete(*(await request.json())["ids"])
    return accept(request, {"status": True})


async def delete_all(request: web.Request) -> web.StreamResponse:
    """Delete every chat of the account, which no program should ever ask for."""
    state = request.app[STATE]
    state.delete_all_calls += 1
    await state.storage.delete(*state.storage.chats)
    return accept(request, {"status": True})
