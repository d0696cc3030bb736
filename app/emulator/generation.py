"""One answer being generated: it goes on when its reader is gone, until it ends or is stopped."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from copy import deepcopy
from dataclasses import replace
from typing import Any
from uuid import uuid4

from app.emulator import frames as wire
from app.emulator.faults import Disturbance
from app.emulator.frames import Frames
from app.emulator.job import Job
from app.emulator.mishaps import mishap
from app.emulator.tree import Node
from app.emulator.usage import usage

_HIDDEN_PROMPT_TOKENS = 500
_KEEP_ALIVE_SECONDS = 0.05


class Generation(ABC):
    """Runs a job and keeps its frames, which any number of readers may follow.

    Its kinds say what is written (`_generate`) and what the chat holds of it though no reader saw it (`_fill`).
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done = False
        self._out: list[bytes] = []
        self._news = asyncio.Event()
        self._stopped = asyncio.Event()
        self._frames = Frames(job.chat.id, job.user.id, job.answer.id, job.index, job.phases)
        self._rival: deque[bytes] = deque()
        self._thought = self._said = 0  # tokens

    def stop(self) -> None:
        """End the answer where it is."""
        self._stopped.set()

    def _whole(self) -> Node:
        """Return the answer as it will be unless something stops it, without a change to the one that is made."""
        twin = type(self)(replace(self.job, answer=deepcopy(self.job.answer)))
        twin._finish_unseen()
        twin._end()
        return twin.job.answer

    def _finish_unseen(self) -> None:
        """Have the answer as it will be."""
        if self.job.disturbance is not Disturbance.EMPTY:
            self._fill()

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
        return usage(shown, self._thought, self._said, self.job.image_tokens)

    @abstractmethod
    async def _generate(self) -> None:
        """Write the frames from the first to the last, and the answer with them."""

    @abstractmethod
    def _fill(self) -> None:
        """Have the answer whole in the stored chat, though its reader does not see it all."""

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

    @property
    def _phase(self) -> str:
        """The phase of the text; pictures have one of their own."""
        return self.job.answer.phase or "answer"

    @property
    def _delay(self) -> float:
        planned = self.job.planned.delay
        return self.job.chunk_delay if planned is None else planned

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
            case Disturbance.ODD_VALUES:
                self._put(self._frames.odd_values())
                return False
            case _:
                return False
        return True
