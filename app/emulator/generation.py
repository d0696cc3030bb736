"""One answer being generated: it goes on when its reader is gone, until it ends or is stopped."""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from copy import deepcopy
from dataclasses import replace
from typing import Any
from uuid import uuid4

from app.emulator import frames as wire
from app.emulator.faults import Disturbance
from app.emulator.frames import Frames
from app.emulator.hosted import Tool, result_of_2025
from app.emulator.job import Job
from app.emulator.mishaps import mishap
from app.emulator.tree import Node

_PIECE = re.compile(r"\s*\S{1,12}")
_HIDDEN_PROMPT_TOKENS = 500


def tokens(text: str) -> int:
    """Count tokens the emulator's way: one for every four characters, rounded up."""
    return -(-len(text) // 4)


_KEEP_ALIVE_SECONDS = 0.05


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
        self._found = 0
        self._used = 0  # hosted tools

    def stop(self) -> None:
        """End the answer where it is."""
        self._stopped.set()

    def _whole(self) -> Node:
        """Return the answer as it will be unless something stops it, without a change to the one that is made."""
        twin = type(self)(replace(self.job, answer=deepcopy(self.job.answer)))
        twin._finish_unseen()
        return twin.job.answer

    def _finish_unseen(self) -> None:
        answer = self.job.answer
        answer.thoughts = list(self.job.thoughts)
        if self.job.disturbance is not Disturbance.EMPTY:
            self._fill()
        self._thought, self._said = sum(map(tokens, answer.thoughts)), tokens(answer.text)
        self._end()

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
        """Generate the answer; ends early when stopped.

        The site has a message as soon as it took it, and goes on writing whatever becomes of us. So the whole answer is
        stored before the first word, until what really became of it takes its place: a kill of this process, which the
        site would not feel, cuts no answer.
        """
        try:
            await self._promise()
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

    async def _promise(self) -> None:
        await self.job.promise(self._whole)

    async def _keep(self) -> None:
        """Store the answer once, before its reader sees the end."""
        if not self.job.answer.done:
            self._end()
            await self.job.keep()

    def _end(self) -> None:
        self.job.answer.done = True
        self.job.answer.ended_at = time.time()
        self.job.answer.usage = self._usage() or {}

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
        if await self._open():
            await self._think()
            for tool in self.job.tools:
                self._use(tool)
                await self._think()
            await self._say()

    async def _open(self) -> bool:
        """Begin the stream; return whether it goes on."""
        disturbance = self.job.disturbance
        if disturbance is Disturbance.SLOW_START:
            await self._stopped.wait()
        if disturbance is Disturbance.CUT_AT_ONCE:
            self._fill()
            return False
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
        return True

    def _fill(self) -> None:
        """Have the answer whole in the stored chat, though its reader does not see it all."""
        for tool in self.job.tools[self._used :]:
            self._carry_out(tool)
        self.job.answer.text = self._text

    @property
    def _text(self) -> str:
        return self.job.text

    @property
    def _phase(self) -> str:
        """The phase of the text; pictures have one of their own."""
        return self.job.answer.phase or "answer"

    def _use(self, tool: Tool) -> None:
        """Write the call of a hosted tool and its result, which the stored answer has too."""
        result = self._carry_out(tool)
        if function_id := result.get("function_id"):
            arguments = tool.asked(self.job.asked)
            self._put(*self._frames.call(tool.name, function_id, arguments, tool.position, self._usage()))
        self._put(self._frames.result(result))

    def _carry_out(self, tool: Tool) -> dict[str, Any]:
        """Put a hosted tool's result into the stored answer; return it."""
        number, text = self._used, self.job.asked
        if self.job.index is None and tool.name == "web_search":
            result = result_of_2025(tool.found(text))
        else:
            image = self.job.outputs.picture(self.job.answer.id, number + 1, self.job.pixels)
            result = tool.result(f"round_{number}_1", text, self._found, image)
        self._used += 1
        self._found += len(result["extra"].get("web_search_info", ()))
        self.job.answer.items.append(result)
        return result

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
        pieces = list(planned.pieces or split(self._text))
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
        await self._close(*(self._frames.text("", self._usage(), phase=self._phase) for _ in range(2)))

    async def _close(self, *last: bytes) -> None:
        """End the stream, after the answer was stored."""
        await self._keep()
        self._put(*self._rival)
        self._put(*last, self._frames.finished(self._phase), wire.STREAM_END)
        if self.job.disturbance is Disturbance.DONE_MARK:
            self._put(b"data: [DONE]\n\n")

    def _rival_speaks(self) -> list[bytes]:
        """Return what the other candidate says before the next piece; it speaks first and finishes first."""
        return [self._rival.popleft()] if self._rival else []

    def _piece(self, piece: str) -> None:
        self._said += tokens(piece)
        self.job.answer.text += piece
        cumulative = self.job.disturbance is Disturbance.CUMULATIVE
        shown = self.job.answer.text if cumulative else piece
        self._put(self._frames.text(shown, self._usage(), phase=self._phase))

    async def _disturb(self, disturbance: Disturbance) -> bool:
        """Do what goes wrong in mid-answer; return whether the stream ends with it."""
        error = mishap(disturbance, self._frames)
        if error is not None:
            self._put(error)
            return True
        match disturbance:
            case Disturbance.CUT | Disturbance.RESET:
                self._fill()
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
