"""Tasks that outlive their request are awaited at the end, and their failures are told."""

import asyncio
import logging
from datetime import timedelta
from itertools import pairwise
from typing import Any, Self, cast

import pytest

from app.clock import SystemClock
from app.core.ports import Deletion, StoreOverview
from app.tasks.background import BackgroundTasks, running
from app.tasks.cleaner import Cleaner


async def fail() -> None:
    raise ValueError("no luck")


async def test_the_end_waits_for_what_still_runs() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.02)
        done.append(1)

    async with BackgroundTasks(patience=5) as background:
        _ = background.spawn(work(), "work")
    assert done


async def test_what_does_not_end_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async with BackgroundTasks(patience=0.01) as background:
        task = background.spawn(asyncio.sleep(3600), "sleep long")
    assert task.cancelled()
    assert "Giving up at the end: sleep long" in caplog.text


async def test_a_failure_is_logged_with_what_was_to_be_done(caplog: pytest.LogCaptureFixture) -> None:
    async with BackgroundTasks(patience=5) as background:
        await asyncio.wait([background.spawn(fail(), "record a turn")])
    assert "Could not record a turn: no luck" in caplog.text


async def test_a_failure_is_told_to_the_caller_who_awaits_it_and_logged_once_it_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with BackgroundTasks(patience=5) as background:
        with pytest.raises(ValueError, match="no luck"):
            await background.outlast(background.spawn(fail(), "make a chat", awaited=True), "make a chat")
        assert caplog.text == ""
        goes_on = asyncio.Event()

        async def fail_later() -> None:
            await goes_on.wait()
            raise ValueError("no luck")

        caller = asyncio.create_task(
            background.outlast(background.spawn(fail_later(), "record it", awaited=True), "record it")
        )
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])
        goes_on.set()
    assert "Could not record it: no luck" in caplog.text


async def test_what_runs_beside_the_program_may_fail_without_ending_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with running(fail, "clean up"):
            await asyncio.sleep(0.01)
    assert "Could not clean up; it is begun again in 5 s" in caplog.text
    assert "ValueError: no luck" in caplog.text


async def test_what_failed_beside_the_program_is_begun_again_after_longer_and_longer_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun: list[float] = []
    works = asyncio.Event()

    async def work() -> None:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) < 4:
            await fail()
        works.set()
        await asyncio.Event().wait()

    async with running(work, "clean up", first_pause=0.02):
        await asyncio.wait_for(works.wait(), 5)
        assert len(begun) == 4
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert all(pause >= wanted for pause, wanted in zip(pauses, (0.02, 0.04, 0.08), strict=True))
    assert caplog.text.count("Traceback") == 3


async def test_what_waits_to_be_begun_again_ends_with_the_program() -> None:
    async with asyncio.timeout(2), running(fail, "clean up", first_pause=60):
        await asyncio.sleep(0.01)
    assert "clean up" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_what_is_done_is_not_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)

    async with running(work, "warm up", first_pause=0.0):
        await asyncio.sleep(0.02)
    assert (begun, caplog.text) == ([1], "")


async def test_a_stop_that_meets_a_wake_ends_the_clean_up() -> None:
    """The last answer's chat is released just when the program ends."""

    class Nothing:
        """A store and an upstream with nothing to do."""

        async def account_now(self) -> str:
            return "a"

        @property
        def deletions(self) -> Self:
            return self

        async def due(self, account: str, at: object, limit: int) -> list[Deletion]:
            return []

        async def elsewhere(self, account: str) -> int:
            return 0

        async def next_due(self, account: str) -> None:
            return None

        async def overview(self) -> StoreOverview:
            return StoreOverview(0, 0, 0)

    idle = cast(Any, Nothing())
    cleaner = Cleaner(idle, idle, SystemClock(), first_retry=timedelta(seconds=1), retention=timedelta(0))
    task = asyncio.create_task(cleaner.run())
    for _ in range(20):
        await asyncio.sleep(0)
    cleaner.wake()
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    assert done == {task}
    assert task.cancelled()
