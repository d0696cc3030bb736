"""How long a busy site is waited for, on a clock that skips the waits."""

import asyncio
from collections.abc import Awaitable, Callable
from selectors import DefaultSelector, SelectorKey
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.core.delivery import retrying
from app.core.events import Event, Started
from app.core.ports import Prompt, SessionStore, Upstream
from app.core.record import TurnRecord
from app.core.relay import Relay
from app.core.surroundings import Surroundings
from app.core.turn import Turn
from app.core.watch import AnswerWatch
from app.errors import ChatInProgress, UpstreamBusy
from app.main import PATIENCE
from app.tasks.background import BackgroundTasks

PROMPT = Prompt("chat", "parent", "hi", "m")
NOBODY: Any = None


class SkippingSelector(DefaultSelector):
    """Waits for nothing, and counts how long it would have."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.skipped += max(timeout, 0.0)
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop on which every wait is over at once, and time passes in nothing but waits."""

    def __init__(self) -> None:
        self._skipping = SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


class Site:
    """A chat that is busy until `free_at`, and what it is asked when, in seconds; `log` begins with the first."""

    def __init__(self, free_at: float, *, stop_helps: bool = False) -> None:
        self.log: list[tuple[str, float]] = []
        self._free_at = free_at
        self._stop_helps = stop_helps
        self._began: float | None = None

    def _asked(self, what: str) -> float:
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        self.log.append((what, round(now - self._began, 1)))
        return now - self._began

    async def send(self, prompt: Prompt) -> "Answer":
        if self._asked("send") < self._free_at:
            raise ChatInProgress("The chat is in progress!")
        return Answer()

    async def stop(self, chat_id: str, response_id: str | None) -> None:
        self._asked("stop")
        if self._stop_helps:
            self._free_at = 0.0


class Answer:
    """An answer of which the beginning is enough."""

    async def __anext__(self) -> list[Event]:
        return [Started("answer", "parent")]

    def close(self) -> None:
        pass


class Record:
    """Keeps nothing."""

    draft = SimpleNamespace(prompt=PROMPT)
    chat_id = "chat"

    def open(self) -> "asyncio.Future[None]":
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def begin(site: Site) -> None:
    async with BackgroundTasks(patience=1) as background:
        around = Surroundings(
            upstream=cast(Upstream, site),
            store=cast(SessionStore, NOBODY),
            background=background,
            clock=NOBODY,
            meter=NOBODY,
            patience=PATIENCE,
            deletion_delay=NOBODY,
            on_chat_released=lambda: None,
            on_chat_named=lambda chat_id, title: None,
        )
        relay = SimpleNamespace(expect=lambda: None, running_id=None)
        turn = Turn(
            around,
            cast(TurnRecord, Record()),
            cast(Relay, relay),
            cast(AnswerWatch, NOBODY),
            retries=0,
            on_left=lambda turn, problem: None,
        )
        await turn.begin()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(main())


EVERY_SECOND = [("send", float(second)) for second in range(7)]


def test_a_chat_that_stays_busy_is_asked_every_second_for_six_and_then_stopped() -> None:
    site = Site(60.0, stop_helps=True)
    run(lambda: begin(site))
    assert site.log == [*EVERY_SECOND, ("stop", 6.0), ("send", 6.0)]


def test_a_chat_that_a_stop_does_not_free_is_given_up() -> None:
    site = Site(60.0)
    with pytest.raises(ChatInProgress):
        run(lambda: begin(site))
    assert site.log == [*EVERY_SECOND, ("stop", 6.0), ("send", 6.0)]


@pytest.mark.parametrize(("free_at", "tries"), [(0.0, 1), (0.9, 2), (2.5, 4), (5.9, 7)])
def test_a_chat_that_is_free_again_is_answered_within_a_second_and_not_stopped(free_at: float, tries: int) -> None:
    site = Site(free_at)
    run(lambda: begin(site))
    assert site.log == EVERY_SECOND[:tries]


@pytest.mark.parametrize(("named", "asked"), [(4.0, [0.0, 4.0, 8.0]), (6.0, [0.0])])
def test_a_site_that_names_a_short_wait_gets_it_and_a_long_one_is_left_alone(named: float, asked: list[float]) -> None:
    times: list[float] = []

    async def overloaded() -> None:
        times.append(asyncio.get_running_loop().time())
        raise UpstreamBusy("Too much to do.", cause="busy", retry_after=named)

    async def ask() -> None:
        with pytest.raises(UpstreamBusy):
            await retrying(overloaded, PATIENCE)

    run(ask)
    assert [round(at - times[0], 1) for at in times] == asked
