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
        self._pacing = asyncio.Lock()  # first come, first served
        self._next_start = float("-inf")
        self.waiting = 0
        self.running = 0

    async def enter(self) -> None:
        """Take a place for an answer, which `leave` gives back. Raises QueueFull when too many wait already."""
        if self.waiting >= self._queue and self._has_to_wait:
            raise QueueFull(
                f"The queue is full; being answered: {self.running}, waiting: {self.waiting}.",
                retry_after=_RETRY_SECONDS,
            )
        self.waiting += 1
        try:
            if self._slots is not None:
                await self._slots.acquire()
            if self._pace:
                await self._keep_pace()
        finally:
            self.waiting -= 1
        self.running += 1

    @property
    def _has_to_wait(self) -> bool:
        """Whether one who comes now does."""
        if self._slots is not None and self._slots.locked():
            return True
        return self._pacing.locked() or self._clock.monotonic() < self._next_start

    def leave(self) -> None:
        """Give a place back: the answer is over."""
        self.running -= 1
        if self._slots is not None:
            self._slots.release()

    async def _keep_pace(self) -> None:
        """Begin `pace` seconds after the one before; who leaves meanwhile takes no time from those behind."""
        try:
            async with self._pacing:
                await asyncio.sleep(self._next_start - self._clock.monotonic())
                self._next_start = self._clock.monotonic() + self._pace
        except BaseException:
            if self._slots is not None:
                self._slots.release()
            raise
