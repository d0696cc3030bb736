"""One answer being generated: it goes on when its reader is gone, until it ends or is stopped."""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from app.emulator import frames as wire
from app.emulator.faults import Disturbance
from app.emulator.frames import Frames
from app.emulator.script import Planned
from app.emulator.tree import Chat, Node

_PIECE = re.compile(r"\s*\S{1,12}")
_HIDDEN_PROMPT_TOKENS = 500
_QUOTA = "Allocated quota exceeded, please increase your quota limit. For details, see: https://example.org/errors#token-limit"


def tokens(text: str) -> int:
    """Count tokens the emulator's way: one for every four characters, rounded up."""
    return -(-len(text) // 4)


_KEEP_ALIVE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Job:
    """What is generated, and where: the answer node is in the tree already and fills up."""

    chat: Chat
    user: Node
    answer: Node
    text: str
    thoughts: tuple[str, ...]
    shown_tokens: int
    image_tokens: int
    planned: Planned
    disturbance: Disturbance | None
    index: str | None
    phases: bool
    summary: bool
    chunk_delay: float
    keep: Callable[[], Awaitable[None]]


class Generation:
    """Runs a job and keeps its frames, which any number of readers may follow."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done = False
        self._out: list[bytes] = []
        self._news = asyncio.Event()
        self._stopped = asyncio.Event()
        self._frames = Frames(job.chat.id, job.user.id, job.answer.id, job.index, job.phases)
        self._rival: deque[bytes] = deque()
        self._thought = 0
        self._said = 0

    def stop(self) -> None:
        """End the answer where it is."""
        self._stopped.set()

    async def follow(self) -> AsyncIterator[bytes]:
        """Read the frames from the first on."""
        position = 0
        while True:
            while position < len(self._out):
                yield self._out[position]
                position += 1
            if self.done:
                return
            await self._news.wait()

    async def run(self) -> None:
        """Generate the answer; ends early when stopped."""
        try:
            await self._until_stopped(self._generate())
            if self._stopped.is_set():
                self.job.answer.is_stop = True
                self._put(self._frames.stopped())
        finally:
            try:
                await self._keep()
            finally:
                self.done = True
                self._tell()

    async def _keep(self) -> None:
        """Store the answer once, before its reader sees the end."""
        if not self.job.answer.done:
            self.job.answer.done = True
            self.job.answer.ended_at = time.time()
            self.job.answer.usage = self._usage() or {}
            await self.job.keep()

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in (task, stopped):
                part.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)
        if not task.cancelled():
            task.result()

    def _put(self, *frames: bytes) -> None:
        self._out.extend(frames)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _usage(self) -> dict[str, Any] | None:
        if self.job.planned.without_usage:
            return None
        shown = self.job.shown_tokens + _HIDDEN_PROMPT_TOKENS
        return wire.usage(shown, self._thought, self._said, self.job.image_tokens)

    async def _generate(self) -> None:
        disturbance = self.job.disturbance
        if disturbance is Disturbance.SLOW_START:
            await self._stopped.wait()
        if disturbance is Disturbance.CUT_AT_ONCE:
            self.job.answer.text = self.job.text
            return
        self._put(self._frames.created())
        rival = Frames(self.job.chat.id, self.job.user.id, str(uuid4()), "1", self.job.phases)
        if disturbance is Disturbance.TWO_CANDIDATES:
            self._put(rival.created())
            self._rival.extend(rival.text("NEVER PRINT THIS ", self._usage()) for _ in range(2))
            self._rival.append(rival.finished())
        if disturbance is Disturbance.KEEP_ALIVE:
            self._put(wire.comment("keepalive"), self._frames.keep_alive())
        if disturbance is Disturbance.UNKNOWN_EVENTS:
            self._put(*self._frames.unknown())
        await self._think()
        if disturbance is Disturbance.WEB_SEARCH:
            self._put(*self._frames.search(self.job.user.text, self._usage()))
            await self._think()
        await self._say()

    async def _think(self) -> None:
        """Write the thinking, as growing snapshots or as raw pieces; a second segment starts again."""
        if not self.job.thoughts:
            return
        done: list[str] = []
        for thought in self.job.thoughts:
            middle = len(thought) // 2
            halves = thought[:middle], thought[middle:]
            for number, half in enumerate(halves):
                self._thought += tokens(half)
                self.job.answer.thoughts = [*done, thought[:middle] if number == 0 else thought]
                if self.job.summary:
                    self._put(self._frames.summary(self.job.answer.thoughts, self._usage()))
                else:
                    between = "\n\n" if done and number == 0 else ""
                    self._put(self._frames.text(between + half, self._usage(), phase="think"))
                await asyncio.sleep(self._delay)
            done.append(thought)
        self._put(self._frames.thought("thinking_summary" if self.job.summary else "think"))

    @property
    def _delay(self) -> float:
        planned = self.job.planned.delay
        return self.job.chunk_delay if planned is None else planned

    async def _say(self) -> None:
        """Write the answer, with what disturbs it in its middle."""
        planned, disturbance = self.job.planned, self.job.disturbance
        pieces = list(planned.pieces or split(self.job.text))
        if disturbance is Disturbance.EMPTY:
            pieces = []
        middle = len(pieces) // 2
        for number in range(len(pieces) + 1):
            if planned.hold is not None and number == min(planned.before, len(pieces)):
                await planned.hold.wait()
            if number == middle and disturbance is not None and await self._disturb(disturbance):
                return
            if number < len(pieces):
                self._put(*self._rival_speaks())
                self._piece(pieces[number])
                await asyncio.sleep(self._delay)
        await self._keep()
        self._put(*self._rival)
        self._put(self._frames.text("", self._usage()), self._frames.text("", self._usage()))
        self._put(self._frames.finished(), wire.STREAM_END)
        if disturbance is Disturbance.DONE_MARK:
            self._put(b"data: [DONE]\n\n")

    def _rival_speaks(self) -> list[bytes]:
        """Return what the other candidate says before the next piece; it speaks first and finishes first."""
        return [self._rival.popleft()] if self._rival else []

    def _piece(self, piece: str) -> None:
        self._said += tokens(piece)
        self.job.answer.text += piece
        cumulative = self.job.disturbance is Disturbance.CUMULATIVE
        self._put(self._frames.text(self.job.answer.text if cumulative else piece, self._usage()))

    async def _disturb(self, disturbance: Disturbance) -> bool:
        """Do what goes wrong in mid-answer; return whether the stream ends with it."""
        match disturbance:
            case Disturbance.ERROR_IN_STREAM:
                self._put(self._frames.error("internal_error", _QUOTA))
            case Disturbance.ERROR_IN_STREAM_FLAT:
                self._put(
                    wire.data({"code": "RateLimited", "detail": "You've reached the upper limit for today's usage."})
                )
            case Disturbance.ERROR_IN_STREAM_TEXT:
                self._put(wire.data({"error": "The model is temporarily unavailable"}))
            case Disturbance.ERROR_IN_STREAM_NESTED:
                nested = {"code": "Server_Busy", "message": "The service is overloaded, try again later."}
                self._put(wire.data({"data": {"error": nested}}))
            case Disturbance.ERROR_IN_STREAM_ENVELOPE:
                envelope = {"code": "Internal_Server_Error", "details": "Something went wrong."}
                self._put(wire.data({"success": False, "request_id": "r", "data": envelope}))
            case Disturbance.EXPIRED_IN_STREAM:
                self._put(wire.data({"error": {"code": "unauthorized", "details": "Token has expired"}}))
            case Disturbance.CUT | Disturbance.RESET:
                self.job.answer.text = self.job.text
            case Disturbance.STALL:
                await self._stopped.wait()
            case Disturbance.ONLY_KEEP_ALIVES:
                while not self._stopped.is_set():
                    self._put(self._frames.keep_alive())
                    await asyncio.sleep(_KEEP_ALIVE_SECONDS)
            case Disturbance.KEEP_ALIVE:
                self._put(self._frames.keep_alive(), wire.comment("keepalive"))
                return False
            case Disturbance.UNKNOWN_EVENTS:
                self._put(*self._frames.unknown())
                return False
            case _:
                return False
        return True


def split(text: str) -> list[str]:
    """Cut a text into pieces of a word or a dozen characters."""
    pieces = _PIECE.findall(text)
    rest = text[sum(map(len, pieces)) :]
    return [*pieces, rest] if rest else pieces
