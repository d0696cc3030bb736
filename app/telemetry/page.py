"""The page of `GET /metrics`, by Prometheus's library; few servers are asked for it, and it takes a megabyte."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from app.core.ports import StoreOverview
from app.telemetry.counting import Counts, Spreads

PAGE_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class ServerState:
    """What is read when somebody asks; None where it is not known."""

    waiting: int
    running: int
    has_problem: bool
    is_blocked: bool
    token_days_left: float | None
    stored: StoreOverview | None
    database_bytes: int | None


def write_page(families: Iterable[Counts | Spreads], state: ServerState) -> bytes:
    """Write everything in Prometheus's text format."""
    return generate_latest(_Page(families, state))


class _Page(Collector):
    """Gives Prometheus's library what was counted and the state that was read for this page."""

    def __init__(self, families: Iterable[Counts | Spreads], state: ServerState) -> None:
        self._families = families
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state
        for family in self._families:
            yield _counter(family) if isinstance(family, Counts) else _histogram(family)
        yield _gauge("waiting_requests", "Requests that wait for their turn.", state.waiting)
        yield _gauge("running_answers", "Answers that are being generated.", state.running)
        yield _gauge("account_problem", "1 while a person has to act: see /ready.", state.has_problem)
        yield _gauge("account_blocked", "1 while the site's bot protection refuses the account.", state.is_blocked)
        if state.token_days_left is not None:
            yield _gauge("token_days_left", "Days until the account's token ends.", state.token_days_left)
        if state.database_bytes is not None:
            yield _gauge("database_bytes", "Size of the database.", state.database_bytes)
        if state.stored is not None:
            yield _gauge("stored_sessions", "Conversations in the database.", state.stored.sessions)
            yield _gauge("stored_nodes", "Answers in the database.", state.stored.nodes)
            yield _gauge("pending_deletions", "Chats that wait for their deletion.", state.stored.pending_deletions)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"qwen_thread_{name}", text, value=float(value))


def _counter(counts: Counts) -> CounterMetricFamily:
    family = CounterMetricFamily(counts.name, counts.text, labels=counts.labels)
    for labels, count in counts.items():
        family.add_metric(labels, count.value, created=count.created)
    return family


def _histogram(spreads: Spreads) -> HistogramMetricFamily:
    """Return a family whose buckets hold also what lies in those before them."""
    family = HistogramMetricFamily(spreads.name, spreads.text, labels=spreads.labels, unit=spreads.unit)
    marks = list(map(floatToGoString, (*spreads.bounds, float("inf"))))
    for labels, spread in spreads.items():
        family.add_metric(labels, list(zip(marks, accumulate(spread.buckets), strict=True)), spread.total)
        named = dict(zip(spreads.labels, labels, strict=True))
        family.samples.append(Sample(f"{family.name}_created", named, spread.created))
    return family
