"""A bare client of the emulated site: it sends what a test says and shows every byte that came back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

from app.emulator import Emulator, EmulatorOptions

MODEL = "qwen3.7-plus"
FAST = {"thinking_enabled": False, "thinking_mode": "Fast", "output_schema": "phase", "auto_search": False}
SUMMARY = {
    "thinking_enabled": True,
    "thinking_mode": "Thinking",
    "output_schema": "phase",
    "thinking_format": "summary",
}
RAW = {"thinking_enabled": True, "output_schema": "phase", "thinking_budget": 81920}


@dataclass(frozen=True)
class Reply:
    """A JSON answer."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def actual(self) -> str | None:
        return self.headers.get("x-actual-status-code")

    @property
    def code(self) -> str:
        assert self.body["success"] is False
        return str(self.body["data"]["code"])

    @property
    def data(self) -> Any:
        assert self.body["success"] is True, self.body
        return self.body["data"]


@dataclass(frozen=True)
class Stream:
    """A completion as it came: its bytes, and the events in them if it was a stream."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    broken: bool = False
    events: list[Any] = field(default_factory=list)

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        return str(self.body["data"]["code"])

    @property
    def created(self) -> dict[str, Any]:
        return dict(self.events[0]["response.created"])

    @property
    def node(self) -> str:
        return str(self.created["response_id"])

    @property
    def deltas(self) -> list[dict[str, Any]]:
        choices = [event for event in self.events if isinstance(event, dict) and "choices" in event]
        return [event["choices"][0]["delta"] for event in choices if event["response_id"] == self.node]

    def phase(self, name: str) -> list[dict[str, Any]]:
        return [delta for delta in self.deltas if delta.get("phase") == name]

    @property
    def text(self) -> str:
        return "".join(delta["content"] for delta in self.phase("answer"))

    @property
    def is_finished(self) -> bool:
        return any(delta["status"] == "finished" for delta in self.phase("answer"))


def events_in(raw: bytes) -> list[Any]:
    lines = raw.decode().replace("\r\n", "\n").split("\n")
    texts = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(text) for text in texts if text != "[DONE]"]


def completion(chat_id: str, text: str, parent: str | None = None, **changes: Any) -> dict[str, Any]:
    """Write the body that the page of 0.3.11 sends; `config`, `action`, `files` and such change the message."""
    model = changes.pop("model", MODEL)
    chat_type = changes.pop("chat_type", "t2t")
    meta = {"subChatType": chat_type, **changes.pop("meta", {})}
    message = {
        "id": None,
        "fid": str(uuid4()),
        "parentId": parent,
        "childrenIds": [str(uuid4())],
        "role": changes.pop("role", "user"),
        "content": text,
        "user_action": changes.pop("action", "chat"),
        "files": changes.pop("files", []),
        "timestamp": 1790000000,
        "models": [model],
        "model": "",
        "chat_type": chat_type,
        "feature_config": changes.pop("config", FAST),
        "extra": {"meta": meta},
        "sub_chat_type": chat_type,
        "parent_id": parent,
        **changes.pop("message", {}),
    }
    return {
        "stream": True,
        "version": "2.1",
        "incremental_output": True,
        "chatId": chat_id,
        "parentId": parent or "",
        "chat_id": chat_id,
        "chat_mode": "normal",
        "model": model,
        "parent_id": parent,
        "messages": [message],
        "timestamp": 1790000000,
        **changes,
    }


class Site:
    """One account's connection to the emulator."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession, token: str | None) -> None:
        self.emulator = emulator
        self.session = session
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        return await self._ask(method, self.emulator.url + path, body, headers)

    async def ask_auth_host(self, path: str, **headers: str) -> Reply:
        return await self._ask("GET", self.emulator.auth_url + path, None, headers)

    async def _ask(self, method: str, url: str, body: Any, headers: dict[str, str]) -> Reply:
        given = {"json": body} if body is not None else {}
        async with self.session.request(method, url, headers={**self.headers, **headers}, **given) as response:
            return Reply(response.status, response.headers, await response.json(content_type=None))

    async def raw(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Stream:
        """Ask for something whose bytes matter, which may break off."""
        url, raw, broken = self.emulator.url + path, b"", False
        async with self.session.request(method, url, data=data, headers={**self.headers, **headers}) as response:
            try:
                async for piece in response.content.iter_any():
                    raw += piece
            except aiohttp.ClientError:
                broken = True
            stream = response.headers.get("Content-Type") == "text/event-stream; charset=utf-8"
            events = events_in(raw) if stream and raw.startswith((b"data:", b":")) else []
            return Stream(response.status, response.headers, raw, broken, events)

    async def new_chat(self, model: str = MODEL, chat_type: str = "t2t", **headers: str) -> str:
        body = {
            "chatId": "",
            "models": [model],
            "project_id": "",
            "timestamp": 1790000000000,
            "chat_type": chat_type,
            "chat_mode": "normal",
        }
        return str((await self.ask("POST", "/api/v2/chats/new", body, **headers)).data["id"])

    async def say(
        self,
        chat_id: str,
        text: str,
        parent: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **changes: Any,
    ) -> Stream:
        data = json.dumps(completion(chat_id, text, parent, **changes)).encode()
        return await self.raw("POST", f"/api/v2/chat/completions?chat_id={chat_id}", data, **(headers or {}))

    async def tree(self, chat_id: str) -> dict[str, Any]:
        return dict((await self.ask("GET", f"/api/v2/chats/{chat_id}")).data)

    async def stop(self, chat_id: str, **more: str) -> Reply:
        return await self.ask("POST", "/api/v2/chat/completions/stop", {"chat_id": chat_id, **more})


def answer_of(node: dict[str, Any]) -> str:
    """Return the text of a stored answer."""
    assert node["content"] == ""
    return "".join(item["content"] for item in node["content_list"] if item["phase"] == "answer")


async def eventually(holds: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail if it never does."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def emulated(**options: Any) -> AsyncIterator[Site]:
    """Run an emulator and sign in to it."""
    async with Emulator(EmulatorOptions(**options)) as emulator, aiohttp.ClientSession() as session:
        yield Site(emulator, session, emulator.mint_token())
