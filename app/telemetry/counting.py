"""Counts of our own, in plain numbers: an event costs an addition, and Prometheus's library sees them when it writes.

They belong to the event loop, so nothing is locked.
"""

import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

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
        self._name, self._text, self._labels = name, text, labels

    def __missing__(self, labels: Labels) -> Count:
        self[labels] = count = Count()
        return count

    def family(self) -> CounterMetricFamily:
        """Return what Prometheus's library writes."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in self.items():
            family.add_metric(labels, count.value, created=count.created)
        return family


class Spreads(dict[Labels, Spread]):
    """Spreads of one name by the values of its labels; one that is asked for exists from then on."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, bounds: Sequence[float], unit: str = "") -> None:
        super().__init__()
        self._name, self._text, self._labels, self._unit = name, text, labels, unit
        self._bounds = tuple(bounds)
        self._marks: list[str] = list(map(floatToGoString, (*bounds, float("inf"))))

    def __missing__(self, labels: Labels) -> Spread:
        self[labels] = spread = Spread(self._bounds)
        return spread

    def family(self) -> HistogramMetricFamily:
        """Return what Prometheus's library writes, whose buckets hold also what lies in those before them."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels, unit=self._unit)
        for labels, spread in self.items():
            family.add_metric(labels, list(zip(self._marks, accumulate(spread.buckets), strict=True)), spread.total)
            named = dict(zip(self._labels, labels, strict=True))
            family.samples.append(Sample(f"{family.name}_created", named, spread.created))
        return family
