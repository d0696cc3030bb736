"""How many answers the account generates at once, in which order the others wait, and how fast they start."""

import asyncio

from app.clock import Clock
from app.errors import QueueFull

_RETRY_SECONDS = 5.0


class Admission:
    """A fair queue: first come, first served. `concurrent` 0 means no limit; `pace` is in seconds."""

    def __init__(self, clock: Clock, *, concurrent: int, queue: int, pace: float) -> None:
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrent) if concurrent else None
        self._queue = queue
        self._pace = pace
        self._next_start = float("-inf")
        self.waiting = 0
        self.running = 0

    async def enter(self) -> None:
        """Take a place for an answer, which `leave` gives back. Raises QueueFull when too many wait already."""
        if self._slots is not None:
            if self._slots.locked() and self.waiting >= self._queue:
                raise QueueFull(
                    f"{self.running} answers are being generated and {self.waiting} requests wait already.",
                    retry_after=_RETRY_SECONDS,
                )
            self.waiting += 1
            try:
                await self._slots.acquire()
            finally:
                self.waiting -= 1
        self.running += 1
        if self._pace:
            try:
                await self._keep_pace()
            except BaseException:
                self.leave()
                raise

    def leave(self) -> None:
        """Give a place back: the answer is over."""
        self.running -= 1
        if self._slots is not None:
            self._slots.release()

    async def _keep_pace(self) -> None:
        now = self._clock.monotonic()
        start = max(now, self._next_start)
        self._next_start = start + self._pace
        await asyncio.sleep(start - now)
