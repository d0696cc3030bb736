"""Chats: making, listing, reading, renaming and deleting them (docs/upstream-protocol.md, Chats)."""

import logging

from aiohttp import web

from app.emulator.envelope import Refused, accept, body_of, fault_at, refuse, refuse_by_name, require
from app.emulator.faults import Refusal
from app.emulator.keys import STATE
from app.emulator.models import BY_ID
from app.emulator.output_routes import outputs
from app.emulator.tree import Chat, new_chat

UNKNOWN_CHAT = Refusal("Not_Found", "The chat does not exist.", 404)
_log = logging.getLogger(__name__)


async def create(request: web.Request) -> web.StreamResponse:
    """Make an empty chat."""
    fault = fault_at(request, "new")
    if fault is not None:
        return fault
    body = await body_of(request)
    require(body, "models", "chat_mode", "chat_type", "timestamp")
    models = body["models"]
    if not isinstance(models, list) or not models:
        raise Refused(Refusal("ValidationError", "models: one model id is required", 400))
    model = str(models[0])
    if model not in BY_ID:
        return refuse_by_name(request, "model_not_found")
    chat = new_chat(model, str(body["chat_type"]))
    await request.app[STATE].storage.add_chat(chat)
    return accept(request, {"id": chat.id})


async def list_page(request: web.Request) -> web.StreamResponse:
    """Answer one page of the list, newest first; past the end it is empty."""
    fault = fault_at(request, "list")
    if fault is not None:
        return fault
    state = request.app[STATE]
    try:
        page = max(1, int(request.query.get("page", "1")))
    except ValueError:
        raise Refused(Refusal("ValidationError", "page: a number is required", 400)) from None
    size = state.options.page_size
    last_made_first = reversed(state.storage.chats.values())
    newest = sorted(last_made_first, key=lambda chat: chat.updated_at, reverse=True)
    return accept(request, [chat.row(state.options.era) for chat in newest[(page - 1) * size : page * size]])


def _asked(request: web.Request) -> Chat:
    chat = request.app[STATE].storage.chats.get(request.match_info["chat_id"])
    if chat is None:
        raise Refused(UNKNOWN_CHAT)
    return chat


async def read(request: web.Request) -> web.StreamResponse:
    """Answer a chat with its whole tree; an answer that is being made shows what it has so far."""
    fault = fault_at(request, "read")
    if fault is not None:
        return fault
    state, chat = request.app[STATE], _asked(request)
    await state.tasks.look(chat, outputs(request))
    return accept(request, chat.detail(state.tokens.user_id))


async def rename(request: web.Request) -> web.StreamResponse:
    """Give a chat a title; every way that anybody told of leads here, since nobody knows the site's."""
    fault = fault_at(request, "rename")
    if fault is not None:
        return fault
    chat, body = _asked(request), await body_of(request)
    require(body, "title")
    await request.app[STATE].storage.rename(chat, str(body["title"]))
    return accept(request, {"status": True})


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete one chat."""
    fault = fault_at(request, "delete")
    if fault is not None:
        return fault
    await request.app[STATE].storage.delete(_asked(request).id)
    return accept(request, {"status": True})


async def batch_delete(request: web.Request) -> web.StreamResponse:
    """Delete the chats that the body names; ids that nothing has are passed over."""
    ids = (await body_of(request)).get("ids")
    if not isinstance(ids, list) or not all(isinstance(chat_id, str) for chat_id in ids):
        return refuse(request, Refusal("RequestValidationError", ["Field 'ids': Field required"], 422))
    await request.app[STATE].storage.delete(*ids)
    return accept(request, {"status": True})


async def delete_all(request: web.Request) -> web.StreamResponse:
    """Delete every chat of the account, which no program should ever ask for."""
    state = request.app[STATE]
    state.delete_all_calls += 1
    _log.warning("Somebody deleted ALL %d chats of the emulated account", len(state.storage.chats))
    await state.storage.delete(*state.storage.chats)
    return accept(request, {"status": True})
