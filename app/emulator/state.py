"""What the emulator knows: its account, its chats, what is being generated, and what tests want to ask it."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from app.emulator.files import FileStore
from app.emulator.generation import Generation
from app.emulator.options import EmulatorOptions
from app.emulator.script import Script
from app.emulator.storage import ChatStorage
from app.emulator.tasks import Tasks
from app.emulator.tokens import TokenOffice
from app.emulator.tree import Chat
from app.emulator.viewing import ShownFile

_log = logging.getLogger(__name__)
_REMEMBERED = 2000  # records of each kind, so that one that runs for months does not grow


@dataclass(frozen=True, slots=True)
class Shown:
    """One completion as the model met it; `seen` is the branch with the new message last, as (role, text).

    The text of a document stands within the message that it came with; `files` are those of the new message. `sizes`
    are the aspect ratios at the top of the body, in the message and in its `extra.meta`.
    """

    chat_id: str
    parent_id: str | None
    user_action: str
    model: str
    feature_config: dict[str, Any]
    text: str
    seen: list[tuple[str, str]]
    chat_type: str = "t2t"
    sizes: tuple[str | None, str | None, str | None] = (None, None, None)
    files: list[ShownFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Requested:
    """One request as the access log would have it; `status` is the real one where the wire hides it."""

    method: str
    path: str
    status: int


def default_settings() -> dict[str, Any]:
    """Make the account's settings as far as their keys are known."""
    tools = (
        "web_extractor",
        "web_search_image",
        "web_search",
        "image_gen_tool",
        "code_interpreter",
        "history_retriever",
    )
    return {
        "model_config": {},
        "tools_enabled": dict.fromkeys((*tools, "image_edit_tool", "bio", "image_zoom_in_tool"), True),
        "memory": {"enable_memory": False, "enable_history_memory": False},
        "personalization": {"name": "", "description": "", "style": "Default", "instruction": ""},
        "mcp": {},
    }


@dataclass(slots=True)
class EmulatorState:
    """Owned by the emulator; handlers and tests read it."""

    options: EmulatorOptions
    storage: ChatStorage
    files: FileStore
    tasks: Tasks
    script: Script = field(default_factory=Script)
    tokens: TokenOffice = field(default_factory=TokenOffice)
    settings: dict[str, Any] = field(default_factory=default_settings)
    shown: list[Shown] = field(default_factory=list)
    requests: list[Requested] = field(default_factory=list)
    stops: list[dict[str, Any]] = field(default_factory=list)
    delete_all_calls: int = 0
    _closing: bool = False
    _running: dict[str, tuple[Generation, asyncio.Task[None]]] = field(default_factory=dict)
    _locked_until: dict[str, float] = field(default_factory=dict)

    def remember(self, record: Shown | Requested | dict[str, Any]) -> None:
        """Record what came, for whoever asks; the oldest records go first."""
        records: list[Any] = self.stops
        if isinstance(record, Shown):
            records = self.shown
        elif isinstance(record, Requested):
            records = self.requests
        records.append(record)
        del records[:-_REMEMBERED]

    def forget_records(self) -> None:
        """Drop all plans and records; held answers go on, the chats stay."""
        self.script.clear()
        for records in (self.shown, self.requests, self.stops):
            records.clear()
        self.delete_all_calls = 0

    def is_locked(self, chat_id: str) -> bool:
        """Say whether the chat is generating, or was until just now."""
        return chat_id in self._running or time.monotonic() < self._locked_until.get(chat_id, 0.0)

    def generate(self, generation: Generation) -> None:
        """Start a generation, which this object owns from now; while it closes, it is stopped from the first."""
        job = generation.job
        if self._closing:
            generation.stop()
        task = asyncio.get_running_loop().create_task(generation.run(), name=f"generate in {job.chat.id}")
        self._running[job.chat.id] = (generation, task)
        task.add_done_callback(lambda ended: self._ended(job.chat, ended))

    def _ended(self, chat: Chat, task: asyncio.Task[None]) -> None:
        self._running.pop(chat.id, None)
        if self.options.lock_seconds > 0:
            self._locked_until[chat.id] = time.monotonic() + self.options.lock_seconds
        problem = task.exception()
        if problem is not None:
            _log.error("An answer in chat %s ended early", chat.id, exc_info=problem)

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        """Stop what a chat generates, only that answer if an id is given, and wait until it is stored."""
        running = self._running.get(chat_id)
        if running is not None and response_id in (None, running[0].job.answer.id):
            running[0].stop()
            await asyncio.wait([running[1]])
        elif chat_id in self.storage.chats:
            await self.tasks.stop(self.storage.chats[chat_id], response_id)

    async def close(self) -> None:
        """Stop every generation, those still to come too, and wait for their end."""
        self._closing = True
        running = list(self._running.values())
        for generation, _ in running:
            generation.stop()
        if running:
            await asyncio.wait([task for _, task in running])
