"""The Python end of a Cherry Studio without a window: tests say what a person does and see what a person sees."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.clients.node import Node
from tests.e2e.harness import MODEL, Messages

SCRIPTS = Path(__file__).parent / "cherry"
ANSWER_SECONDS = 20
_LONGEST_LINE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """An assistant in Cherry Studio; `mode` None has no tools, `context_count` None is the slider's "unlimited"."""

    mode: Literal["prompt", "function"] | None = None
    system: str | None = None
    context_count: int | None = None
    model: str = MODEL

    def written_for(self, url: str) -> str:
        wire = {"contextCount": self.context_count, "baseURL": f"{url}/v1", "apiKey": "any"}
        return json.dumps({**wire, "mode": self.mode, "system": self.system, "model": self.model})


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it was on the wire, and how the server placed it."""

    body: dict[str, Any]
    status: int | None
    match: str | None
    session: str | None

    @property
    def messages(self) -> Messages:
        return list(self.body["messages"])


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, with the whole tool loop behind it: what the window shows, and what went over the wire."""

    text: str
    reasoning: str
    status: Literal["success", "paused", "error"]
    error: dict[str, Any] | None
    calls: list[dict[str, Any]]
    usage: dict[str, Any] | None
    requests: list[Sent]

    @property
    def matches(self) -> list[str | None]:
        return [request.match for request in self.requests]


class Cherry:
    """A running client with one topic. `seen` is the text that has come so far for the answer under way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.seen = ""
        self.tools: list[str] = []
        self._process = process

    async def say(self, text: str) -> Answer:
        """Ask, and let the client run its tools until it has its answer."""
        return await self._do("say", text=text)

    async def regenerate(self) -> Answer:
        """Ask for another answer in the place of the last one."""
        return await self._do("regenerate")

    async def name_topic(self) -> Answer:
        """Send the request for the topic's name."""
        return await self._do("name")

    def stop(self) -> None:
        """Press the stop button; the answer under way ends."""
        self._send("stop")

    async def ready(self) -> None:
        """Wait for the start, and learn the names of the tools."""
        async with asyncio.timeout(ANSWER_SECONDS):
            self.tools = (await self._event())["tools"]

    async def _do(self, command: str, **fields: str) -> Answer:
        self.seen = ""
        self._send(command, **fields)
        async with asyncio.timeout(ANSWER_SECONDS):
            while (event := await self._event())["event"] == "text":
                self.seen += event["text"]
        assert event.pop("event") == "answer", event
        return Answer(requests=[Sent(**request) for request in event.pop("requests")], **event)

    def _send(self, command: str, **fields: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **fields}).encode() + b"\n")

    async def _event(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(f"The client ended:\n{(await self._process.stderr.read()).decode()}")
        return dict(json.loads(line))


@asynccontextmanager
async def cherry_studio(node: Node, url: str, settings: Settings) -> AsyncIterator[Cherry]:
    """Run a client until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        node.program,
        "--import",
        (SCRIPTS / "packages.mjs").as_uri(),
        SCRIPTS / "main.mjs",
        settings.written_for(url),
        env={**os.environ, "CLIENT_PACKAGES": str(node.packages)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    try:
        client = Cherry(process)
        await client.ready()
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
