"""A person at the site's own page: turns in chats that no program made (docs/upstream-protocol.md, Tree)."""

import time

from app.emulator.models import BY_ID
from app.emulator.storage import ChatStorage
from app.emulator.tree import new_chat, new_node


async def browse(
    storage: ChatStorage, chat_id: str | None, text: str, answer: str, parent_id: str | None = None
) -> tuple[str, str, str]:
    """Store a turn; return the ids of its chat, message and answer.

    Without `chat_id` it opens a chat. It follows the answer `parent_id`, else the chat's current one; with "" it is
    another first message. Raises ValueError for a chat that does not exist, and for a parent that is no whole answer.
    """
    chat = new_chat(next(iter(BY_ID))) if chat_id is None else storage.chats.get(chat_id)
    if chat is None:
        raise ValueError(f"There is no chat {chat_id!r}.")
    parent_id = chat.current_id if parent_id is None else parent_id or None
    parent = chat.nodes.get(parent_id) if parent_id is not None else None
    if parent_id is not None and (parent is None or not parent.done):
        raise ValueError(f"There is no whole answer {parent_id!r} in this chat.")
    if chat_id is None:
        await storage.add_chat(chat)
    said = new_node("user", parent_id, text, chat.model, {})
    heard = new_node("assistant", said.id, answer, chat.model, {})
    heard.done, heard.ended_at = True, time.time()
    chat.add(said)
    chat.add(heard)
    chat.name_itself()
    await storage.keep_turn(chat, said, heard)
    return chat.id, said.id, heard.id
