"""A stand-in for the site that answers as a test says: pictures, sources and videos, without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

import aiohttp

from app.clock import Clock
from app.config import Settings, load
from app.core.attachments import FileContent
from app.core.events import Event, Finished, Started, TextDelta
from app.core.modes import Mode
from app.core.ports import (
    AccountStatus,
    ChatRecord,
    ChatSummary,
    Meter,
    ModelInfo,
    Prompt,
    UploadedFile,
    VideoState,
)
from app.core.surroundings import Patience
from app.errors import ChatGone, UpstreamError, UpstreamRejected
from app.main import open_program
from app.serving import listening
from app.tasks.background import running
from tests.core.fakes import model
from tests.e2e.harness import CLOCK, Client

SITE = "https://cdn.example/output"
MODELS = (
    model("talker", modes=frozenset[Mode]({"chat", "search", "research"})),
    model("artist", modes=frozenset[Mode]({"chat", "search", "image", "video", "research"})),
)
QUICK = Patience(every=0.01, total=0.05, retry=0.01, read_back=0.05, video=0.2, video_every=0.01)
Answer = Sequence[Event | UpstreamError]


@dataclass
class Piecewise:
    """A download that comes in two pieces."""

    content_type: str
    data: bytes
    breaks: UpstreamError | None = None
    size: int | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.data[:3]
        if self.breaks is not None:
            raise self.breaks
        yield self.data[3:]


class Said:
    """An answer on its way, each batch by itself."""

    def __init__(self, batches: Iterable[Sequence[Event] | UpstreamError]) -> None:
        self._batches = iter(batches)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        await asyncio.sleep(0)
        batch = next(self._batches, None)
        if batch is None:
            raise StopAsyncIteration
        if isinstance(batch, UpstreamError):
            raise batch
        return batch

    def close(self) -> None:
        pass


@dataclass
class Studio:
    """Answers with `answers`, one after the other, then with words; each event comes by itself, or all `at_once`.

    `videos` are the states of each task, of which the last one stays; `files` what is behind an address,
    `breaks` how each ends before its end.
    """

    answers: list[Answer] = field(default_factory=list)
    videos: dict[str, list[VideoState | UpstreamError]] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    breaks: UpstreamError | None = None
    prompts: list[Prompt] = field(default_factory=list)
    modes: list[Mode] = field(default_factory=list)
    chats: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    at_once: bool = False
    asked: int = 0
    responses: int = 0
    owner: str = "account"

    def account(self) -> AccountStatus:
        return AccountStatus("qwen", self.owner, None, None)

    def account_name(self) -> str:
        return self.account().account

    async def account_now(self) -> str:
        return self.account_name()

    async def models(self) -> Sequence[ModelInfo]:
        return MODELS

    async def load_settings(self) -> None:
        pass

    async def keep_login(self) -> float:
        return 3600.0

    async def create_chat(self, model: str, mode: Mode = "chat", account: str | None = None) -> str:
        self.modes.append(mode)
        self.chats.append(str(uuid4()))
        return self.chats[-1]

    async def send(self, prompt: Prompt) -> "Said":
        self.prompts.append(prompt)
        self.responses += 1
        answer = self.answers.pop(0) if self.answers else [TextDelta("Words.")]
        events = [Started(f"response-{self.responses}", None), *answer, Finished()]
        if self.at_once:
            return Said([[event for event in events if not isinstance(event, UpstreamError)]])
        return Said(event if isinstance(event, UpstreamError) else [event] for event in events)

    async def upload(self, file: FileContent) -> UploadedFile:
        return UploadedFile(str(uuid4()), file.kind, file.name, len(file.data), "", datetime(2030, 1, 1, tzinfo=UTC))

    async def video(self, task_id: str) -> VideoState:
        self.asked += 1
        states = self.videos[task_id]
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, UpstreamError):
            raise state
        return state

    @asynccontextmanager
    async def download(self, url: str) -> AsyncIterator[Piecewise]:
        if url in self.expired:
            raise UpstreamRejected("The address has expired.", cause="expired")
        if url not in self.files:
            raise UpstreamRejected("The address is not the site's.")
        yield Piecewise(*self.files[url], self.breaks, size=len(self.files[url][1]))

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        self.stopped.append(chat_id)

    async def list_chats(self, page: int) -> Sequence[ChatSummary]:
        return ()

    async def read_chat(self, chat_id: str) -> ChatRecord:
        raise ChatGone("It is not there.")

    async def rename_chat(self, chat_id: str, title: str) -> None:
        pass

    async def delete_chat(self, chat_id: str, account: str) -> None:
        self.deleted.append(chat_id)

    @asynccontextmanager
    async def open(self, settings: Settings, clock: Clock, meter: Meter) -> "AsyncIterator[Studio]":
        yield self


@asynccontextmanager
async def studio_server(folder: Path, studio: Studio, **settings: str) -> AsyncIterator[Client]:
    """Run the server in this process, with the studio in the place of the site."""
    environ = {"PORT": "0", "DELETE_RETRY_SECONDS": "0.01", "KEEP_ALIVE_SECONDS": "0.02", **settings}
    loaded = await asyncio.to_thread(load, folder, environ)
    async with (
        open_program(loaded, CLOCK, QUICK, title_delay=0.01, opener=studio.open) as program,
        running(program.cleaner.run, "clean up"),
        running(program.recovery.run, "read cut answers back"),
        listening(program.services) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Client(session, url)
