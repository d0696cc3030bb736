"""Counts of our own, in plain numbers: an event costs an addition, and page.py turns them into Prometheus's families.

They belong to the event loop, so nothing is locked.
"""

import time
from bisect import bisect_left
from collections.abc import Sequence

Labels = tuple[str, ...]


class Count:
    """How often something happened since `created`, in seconds since 1970."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.created = time.time()
        self.value = 0


class Spread:
    """How many values lie in each bucket, and their sum; the last bucket takes what is above all bounds."""

    __slots__ = ("_bounds", "buckets", "created", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.created = time.time()
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0
        self._bounds = bounds

    def observe(self, value: float) -> None:
        """Take a value; one that equals a bound lies below it."""
        self.buckets[bisect_left(self._bounds, value)] += 1
        self.total += value


class Counts(dict[Labels, Count]):
    """Counts of one name by the values of its labels; one that is asked for exists from then on."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        super().__init__()
        self.name, self.text, self.labels = name, text, labels

    def __missing__(self, labels: Labels) -> Count:
        self[labels] = count = Count()
        return count


class Spreads(dict[Labels, Spread]):
    """Spreads of one name by the values of its labels; one that is asked for exists from then on."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, bounds: Sequence[float], unit: str = "") -> None:
        super().__init__()
        self.name, self.text, self.labels, self.unit = name, text, labels, unit
        self.bounds = tuple(bounds)

    def __missing__(self, labels: Labels) -> Spread:
        self[labels] = spread = Spread(self.bounds)
        return spread
