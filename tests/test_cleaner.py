"""The clean-up while the site is silent, on a clock that a test moves."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

import pytest

from app.core.ports import Deletion, StoreOverview
from app.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from app.tasks.cleaner import Cleaner, SweepReport

SILENT = UpstreamTimeout("The site could not be reached within 10 s (CONNECT_TIMEOUT).", cause="connect")
AWAY = UpstreamUnreachable("The site could not be reached.", cause="connect")


class World:
    """A clock, a queue of deletions and a site at which `problems` meet the deletions of these chats."""

    def __init__(self, *chats: str, problems: dict[str, UpstreamError], takes: float = 10.0) -> None:
        self.at = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
        self.queue = dict.fromkeys(chats, (0, self.at))
        self.problems = problems
        self.takes = takes
        self.asked: list[str] = []

    def cleaner(self) -> Cleaner:
        world = cast(Any, self)
        return Cleaner(world, world, world, first_retry=timedelta(seconds=1), retention=timedelta(0))

    def now(self) -> datetime:
        return self.at

    async def account_now(self) -> str:
        return "account"

    async def delete_chat(self, chat_id: str, account: str) -> None:
        self.asked.append(chat_id)
        assert len(self.asked) < 100, "the sweep does not end"
        if (problem := self.problems.get(chat_id)) is not None:
            self.at += timedelta(seconds=self.takes)
            raise problem

    @property
    def deletions(self) -> Self:
        return self

    async def due(self, account: str, at: datetime, limit: int) -> Sequence[Deletion]:
        waiting = sorted(self.queue.items(), key=lambda item: item[1][1])
        is_due = [Deletion(chat, tries) for chat, (tries, due) in waiting if due <= at or due > at + timedelta(hours=1)]
        return is_due[:limit]

    async def done(self, chat_id: str, at: datetime) -> None:
        del self.queue[chat_id]

    async def failed(self, chat_id: str, error: str, at: datetime, due: datetime) -> None:
        self.queue[chat_id] = (self.queue[chat_id][0] + 1, due)

    async def elsewhere(self, account: str) -> int:
        return 0

    async def overview(self) -> StoreOverview:
        return StoreOverview(0, 0, len(self.queue))


@pytest.mark.parametrize("problem", [SILENT, AWAY])
@pytest.mark.parametrize("takes", [0.001, 10, 2 * 3600])
async def test_a_sweep_ends_while_the_site_is_silent_and_asks_it_once(problem: UpstreamError, takes: float) -> None:
    chats = [f"chat-{number}" for number in range(5)]
    world = World(*chats, problems=dict.fromkeys(chats, problem), takes=takes)
    for number in (1, 2):
        assert await world.cleaner().sweep() == SweepReport(deleted=0, failed=5, aged=0, waiting=5)
        assert len(world.asked) == number
        world.at += timedelta(seconds=30)


async def test_one_chat_about_which_the_site_is_silent_does_not_hold_the_others_for_ever() -> None:
    world = World("silent", "one", "two", problems={"silent": SILENT})
    assert (await world.cleaner().sweep()).deleted == 0
    world.at += timedelta(seconds=30)
    assert await world.cleaner().sweep() == SweepReport(deleted=2, failed=1, aged=0, waiting=1)
    assert world.asked == ["silent", "one", "two", "silent"]


async def test_a_fault_at_one_chat_does_not_hold_the_others() -> None:
    world = World("faulty", "one", problems={"faulty": UpstreamError("It did not do it.")})
    assert await world.cleaner().sweep() == SweepReport(deleted=1, failed=1, aged=0, waiting=1)
