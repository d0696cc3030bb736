"""A whole server in front of an emulator of its own, both over real HTTP on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from app.clock import Clock, SystemClock
from app.config import load
from app.core.surroundings import Patience
from app.emulator import Emulator, EmulatorOptions
from app.main import open_program
from app.serving import listening
from app.tasks.background import running
from app.tasks.token_keeper import TokenKeeper
from tests.databases import lay_empty_database

MODEL = "qwen3.7-plus"
CLOCK = SystemClock()
LONG_AGO = "2020-01-01T00:00:00.000Z"
AGE_SESSIONS = f"UPDATE sessions SET created_at = '{LONG_AGO}', last_used_at = '{LONG_AGO}'"
QUICK = Patience(every=0.1, total=0.6, retry=0.01, read_back=0.6, video=2.0, video_every=0.01)
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Reply:
    """What a client received; `chunks` are the decoded frames of a stream."""

    status: int
    headers: Mapping[str, str]
    body: Any
    chunks: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        if self.chunks:
            return "".join(self._deltas("content"))
        return str(self.body["choices"][0]["message"]["content"])

    @property
    def reasoning(self) -> str:
        if self.chunks:
            return "".join(self._deltas("reasoning_content"))
        return str(self.body["choices"][0]["message"].get("reasoning_content", ""))

    @property
    def finish_reason(self) -> str | None:
        if not self.chunks:
            return str(self.body["choices"][0]["finish_reason"])
        reasons = [choice["finish_reason"] for chunk in self.chunks for choice in chunk.get("choices", ())]
        return next((reason for reason in reasons if reason), None)

    @property
    def error(self) -> dict[str, Any]:
        errors = [chunk["error"] for chunk in self.chunks if "error" in chunk]
        return dict(errors[0] if errors else self.body["error"])

    @property
    def match(self) -> str:
        return self.headers["X-Session-Match"]

    @property
    def session(self) -> str:
        return self.headers["X-Session-Id"]

    def _deltas(self, name: str) -> list[str]:
        deltas = [choice["delta"] for chunk in self.chunks for choice in chunk.get("choices", ())]
        return [delta[name] for delta in deltas if delta.get(name)]


class Client:
    """The least of an OpenAI client: it sends what a test says and shows what came back."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None = None) -> None:
        self.session = session
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def chat(self, messages: Messages, *, stream: bool = False, model: str = MODEL, **fields: Any) -> Reply:
        body = {"model": model, "messages": messages, "stream": stream, **fields}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body, headers=self.headers) as response:
            headers = response.headers
            if response.content_type != "text/event-stream":
                return Reply(response.status, headers, await response.json())
            return Reply(response.status, headers, None, decode_stream(await response.read()))

    async def post(self, path: str, body: Any) -> Reply:
        raw = json.dumps(body)  # as it is: half a character too
        headers = {**self.headers, "Content-Type": "application/json"}
        async with self.session.post(f"{self.url}{path}", data=raw, headers=headers) as response:
            return Reply(response.status, response.headers, await response.json())

    async def get(self, path: str, **headers: str) -> Reply:
        async with self.session.get(f"{self.url}{path}", headers={**self.headers, **headers}) as response:
            return Reply(response.status, response.headers, await response.json())


def decode_stream(raw: bytes) -> list[Any]:
    frames = [frame for frame in raw.decode().split("\n\n") if frame.startswith("data: ")]
    assert frames[-1] == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]


class Conversation:
    """A client that keeps its own history, as all of them do."""

    def __init__(
        self, client: Client, *, system: str | None = None, messages: Messages | None = None, **fields: Any
    ) -> None:
        self.client = client
        self.messages: Messages = messages or ([{"role": "system", "content": system}] if system else [])
        self.fields = fields

    async def say(self, text: str, **fields: Any) -> Reply:
        self.messages.append({"role": "user", "content": text})
        return await self.again(**fields)

    async def again(self, **fields: Any) -> Reply:
        """Ask for an answer to the history as it is."""
        reply = await self.client.chat(self.messages, **{**self.fields, **fields})
        if reply.status == 200 and reply.finish_reason:
            self.messages.append({"role": "assistant", "content": reply.text})
        return reply


@dataclass(frozen=True)
class Server:
    client: Client
    emulator: Emulator
    database: Path
    url: str
    keeper: TokenKeeper

    def conversation(self, **fields: Any) -> Conversation:
        return Conversation(self.client, **fields)


async def eventually(holds: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail if it never does."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(folder: Path, emulator: Emulator, clock: Clock = CLOCK, /, **settings: str) -> AsyncIterator[Server]:
    """Run the server in this process, with the emulator in the place of the site."""
    environ = {
        "PORT": "0",
        "QWEN_AUTH_TOKEN": emulator.mint_token(),
        "QWEN_BASE_URL": emulator.url,
        "QWEN_AUTH_URL": emulator.auth_url,
        "DELETE_RETRY_SECONDS": "0.05",
        **settings,
    }
    loaded = await asyncio.to_thread(load, folder, environ)
    await lay_empty_database(loaded.database_path)
    async with (
        open_program(loaded, clock, QUICK, title_delay=0.02) as program,
        running(program.cleaner.run, "clean up"),
        running(program.recovery.run, "read cut answers back"),
        running(program.titler.run, "name chats"),
        running(program.keeper.run, "keep the login"),
        listening(program.services) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Server(Client(session, url), emulator, folder / "data" / "qwen-thread.db", url, program.keeper)


@asynccontextmanager
async def emulating(**options: Any) -> AsyncIterator[Emulator]:
    """Run an emulator with its chats in memory and no delays."""
    async with Emulator(EmulatorOptions(**options)) as emulator:
        yield emulator
