"""Time as a value that the program is given, so that tests own it."""

import time
from datetime import UTC, datetime
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day and a steady time for durations."""

    def now(self) -> datetime:
        """Return the time of day, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean something."""
        ...


class SystemClock:
    """The machine's clocks, asked without a detour: every turn reads them some twenty times."""

    now = staticmethod(partial(datetime.now, UTC))
    monotonic = staticmethod(time.monotonic)


_TWO_DIGITS = [f"{number:02}" for number in range(100)]


def timestamp(moment: datetime) -> str:
    """Write a moment as the store and the pages show it: `2026-11-22T09:00:00.000Z`."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    two, milliseconds = _TWO_DIGITS, at.microsecond // 1000  # joining texts costs half of isoformat
    return (
        f"{two[at.year // 100]}{two[at.year % 100]}-{two[at.month]}-{two[at.day]}"
        f"T{two[at.hour]}:{two[at.minute]}:{two[at.second]}.{milliseconds // 100}{two[milliseconds % 100]}Z"
    )
