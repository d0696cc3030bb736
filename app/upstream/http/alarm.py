"""A timer for waits that hardly ever last too long."""

import asyncio
from collections.abc import Callable


class Alarm:
    """One lazy timer for many waits, one after the other: `ring` is called if a wait outlasts its deadline (loop time).

    `deadline` is None while nobody waits: whoever waited sets it. So a wait that ends in time costs two assignments,
    since the timer stays as it was set, and looks again when it fires.
    """

    __slots__ = ("_fires_at", "_loop", "_ring", "_timer", "deadline")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self.deadline: float | None = None
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0

    def arm(self, deadline: float) -> None:
        """Begin to wait."""
        self.deadline = deadline
        if self._timer is None or deadline < self._fires_at:
            self._set(deadline)

    def cancel(self) -> None:
        """Wait no more."""
        self.deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = deadline
        self._timer = self._loop.call_at(deadline, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self.deadline is None:
            return
        if self._loop.time() < self.deadline:
            self._set(self.deadline)
            return
        self.deadline = None
        self._ring()
