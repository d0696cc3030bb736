"""The emulator's chats and the journal that keeps them; nothing that was deleted stays in it."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.emulator import journal
from app.emulator.tree import NEW_TITLE, Chat, Node


class ChatStorage:
    """Owns all chats; `deleted` remembers ids, since the site tells deleted from unknown."""

    def __init__(self, path: Path | None) -> None:
        self.chats: dict[str, Chat] = {}
        self.deleted: set[str] = set()
        self._path = path
        self._writing = asyncio.Lock()

    @property
    def lasts(self) -> bool:
        """Whether the chats outlive the process."""
        return self._path is not None

    async def open(self) -> None:
        """Read the journal and rewrite it compactly."""
        if self._path is not None:
            await asyncio.to_thread(self._load, self._path)

    async def add_chat(self, chat: Chat) -> None:
        """Keep a new chat."""
        self.chats[chat.id] = chat
        await self._append(_chat_record(chat))

    async def keep_turn(self, chat: Chat, *nodes: Node) -> None:
        """Keep nodes of a turn in the place of what was kept of them before, and the chat's title."""
        await self._append(
            {"op": "turn", "chat": chat.id, "title": chat.title, "nodes": [asdict(node) for node in nodes]}
        )

    async def rename(self, chat: Chat, title: str) -> None:
        """Keep a title."""
        chat.title = title
        await self._append({"op": "title", "chat": chat.id, "title": title})

    async def delete(self, *chat_ids: str) -> None:
        """Forget chats but for their ids; nothing that was said in them stays in the journal."""
        for chat_id in chat_ids:
            if self.chats.pop(chat_id, None) is not None:
                self.deleted.add(chat_id)
        if self._path is not None:
            async with self._writing:
                await asyncio.to_thread(_forget, self._path, chat_ids)

    async def _append(self, record: dict[str, Any]) -> None:
        if self._path is not None:
            async with self._writing:
                await asyncio.to_thread(journal.append, self._path, [record])

    def _load(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for record in journal.read(path):
            try:
                self._replay(record)
            except (KeyError, TypeError):
                continue  # a line that is no record, or of a chat that was deleted meanwhile
        records: list[dict[str, Any]] = [{"op": "delete", "chats": sorted(self.deleted)}]
        for chat in self.chats.values():
            records.append(_chat_record(chat))
            if chat.nodes:
                nodes = [asdict(node) for node in chat.nodes.values()]
                records.append({"op": "turn", "chat": chat.id, "title": chat.title, "nodes": nodes})
        journal.rewrite(path, records)

    def _replay(self, record: dict[str, Any]) -> None:
        if record["op"] == "chat":
            made = record["created_at"]
            title, chat_type = record.get("title", NEW_TITLE), record.get("chat_type", "t2t")
            self.chats[record["id"]] = Chat(record["id"], record["model"], made, made, title, chat_type)
        elif record["op"] == "delete":
            for chat_id in record["chats"]:
                self.chats.pop(chat_id, None)
                self.deleted.add(chat_id)
        else:
            chat = self.chats[record["chat"]]
            chat.title = record["title"]
            for fields in record.get("nodes", ()):
                chat.add(Node(**{**fields, "children": []}))
                chat.name_itself()


def _forget(path: Path, chat_ids: Sequence[str]) -> None:
    """Take the records of chats out. The others stay as they are: they may say more than the chats in memory do yet."""
    records = (record for record in journal.read(path) if isinstance(record, dict))
    kept = [record for record in records if record.get("id") not in chat_ids and record.get("chat") not in chat_ids]
    journal.rewrite(path, [*kept, {"op": "delete", "chats": list(chat_ids)}])


def _chat_record(chat: Chat) -> dict[str, Any]:
    return {
        "op": "chat",
        "id": chat.id,
        "model": chat.model,
        "created_at": chat.created_at,
        "title": chat.title,
        "chat_type": chat.chat_type,
    }
