"""A bare client of the site's protocol, to look at the emulator's wire with."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from app.emulator import Emulator, EmulatorOptions

MODEL = "qwen3.7-plus"
THINKING = {
    "thinking_enabled": True,
    "output_schema": "phase",
    "thinking_mode": "Thinking",
    "thinking_format": "summary",
    "auto_search": False,
}
FAST = {"thinking_enabled": False, "output_schema": "phase", "thinking_mode": "Fast", "auto_search": False}


@dataclass(frozen=True)
class Got:
    """An answer: its status on the wire, its headers, its raw body."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def events(self) -> list[Any]:
        lines = [line.strip() for line in self.raw.decode().splitlines() if line.startswith("data: {")]
        return [json.loads(line.removeprefix("data: ")) for line in lines]

    @property
    def deltas(self) -> list[Any]:
        return [event["choices"][0]["delta"] for event in self.events if "choices" in event]

    @property
    def text(self) -> str:
        return "".join(delta["content"] for delta in self.deltas if delta.get("phase", "answer") == "answer")

    @property
    def created(self) -> Any:
        return self.events[0]["response.created"]


class Site:
    """Calls the emulator as the page calls the site."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.token = emulator.mint_token()

    async def call(self, method: str, path: str, body: Any = None, *, base: str = "", **headers: str) -> Got:
        given = {
            "Authorization": f"Bearer {self.token}",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        url = (base or self.emulator.url) + path
        async with self.session.request(method, url, json=body, headers=given) as response:
            return Got(
                response.status, {name.lower(): text for name, text in response.headers.items()}, await response.read()
            )

    async def new_chat(self, model: str = MODEL) -> str:
        body = {
            "chatId": "",
            "models": [model],
            "project_id": "",
            "timestamp": 1,
            "chat_type": "t2t",
            "chat_mode": "normal",
        }
        return str((await self.call("POST", "/api/v2/chats/new", body)).json["data"]["id"])

    async def say(
        self, chat_id: str, text: Any, parent: str | None = None, *, config: Any = None, **changes: Any
    ) -> Got:
        message = {
            "role": "user",
            "content": text,
            "user_action": changes.pop("action", "chat"),
            "parent_id": parent,
            "feature_config": FAST if config is None else config,
        } | changes.pop("message", {})
        body = {
            "stream": True,
            "chat_id": chat_id,
            "model": MODEL,
            "parent_id": parent,
            "messages": [message],
            **changes,
        }
        return await self.call("POST", f"/api/v2/chat/completions?chat_id={chat_id}", body)

    async def tree(self, chat_id: str) -> Any:
        return (await self.call("GET", f"/api/v2/chats/{chat_id}")).json["data"]


@asynccontextmanager
async def site(**options: Any) -> AsyncIterator[Site]:
    async with Emulator(EmulatorOptions(**options)) as emulator, aiohttp.ClientSession() as session:
        yield Site(emulator, session)
