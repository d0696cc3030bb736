"""Counts calls instead of seconds, so that a guard against needless work does not depend on the machine."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Calls:
    """Hears the calls of plain functions; those written in C are given by their qualified names.

    `measure` says how much a call of one of our functions was given, in whatever it is that counts.
    """

    def __init__(self, *functions: Callable[..., Any] | str, measure: Callable[[FrameType], int] | None = None) -> None:
        self.measured = 0
        self._measure = measure
        self._in_c = {each for each in functions if isinstance(each, str)}
        self._ours = {each.__code__: each.__name__ for each in functions if not isinstance(each, str)}
        self._heard: list[str] = []

    def take(self) -> Counter[str]:
        """Return how often each was called since the last time."""
        heard, self._heard = self._heard, []
        return Counter(heard)

    @contextmanager
    def here(self) -> Iterator["Calls"]:
        """Count what this thread calls."""
        sys.setprofile(self._hear)
        try:
            yield self
        finally:
            sys.setprofile(None)

    @contextmanager
    def in_new_threads(self) -> Iterator["Calls"]:
        """Count what is called by the threads that begin meanwhile, as long as they run."""
        threading.setprofile(self._hear)
        try:
            yield self
        finally:
            threading.setprofile(None)

    def _hear(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and getattr(function, "__qualname__", "") in self._in_c:
            self._heard.append(function.__qualname__)
        elif event == "call" and (name := self._ours.get(frame.f_code)) is not None:
            self._heard.append(name)
            self.measured += self._measure(frame) if self._measure is not None else 0
