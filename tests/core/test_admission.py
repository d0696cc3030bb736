"""The account generates so many answers at once; the others wait in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.clock import SystemClock
from app.core.admission import Admission
from app.errors import QueueFull
from tests.core.fakes import FakeClock


@asynccontextmanager
async def slot(admission: Admission) -> AsyncIterator[None]:
    await admission.enter()
    try:
        yield
    finally:
        admission.leave()


async def test_waiting_requests_get_their_turn_in_order() -> None:
    admission = Admission(FakeClock(), concurrent=1, queue=10, pace=0)
    order: list[int] = []
    release = asyncio.Event()

    async def answer(number: int) -> None:
        async with slot(admission):
            order.append(number)
            await release.wait()

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(answer(number))
        while admission.waiting < 3:
            await asyncio.sleep(0)
        assert (order, admission.running) == ([0], 1)
        release.set()
    assert order == [0, 1, 2, 3]
    assert (admission.running, admission.waiting) == (0, 0)


async def test_one_too_many_is_told_when_to_come_back() -> None:
    admission = Admission(FakeClock(), concurrent=1, queue=0, pace=0)
    async with slot(admission):
        with pytest.raises(QueueFull) as refused:
            async with slot(admission):
                pass
    assert (refused.value.status, refused.value.retry_after) == (429, 5.0)
    assert refused.value.message.startswith("The queue is full; being answered: 1, waiting: 0. ")
    async with slot(admission):
        assert admission.running == 1


async def test_a_request_that_gives_up_waiting_leaves_the_queue() -> None:
    admission = Admission(FakeClock(), concurrent=1, queue=5, pace=0)

    async def wait_for_a_slot() -> None:
        async with slot(admission):
            pass

    async with slot(admission):
        waiting = asyncio.create_task(wait_for_a_slot())
        while not admission.waiting:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert admission.waiting == 0
    async with slot(admission):
        pass


async def test_zero_means_no_limit() -> None:
    admission = Admission(FakeClock(), concurrent=0, queue=0, pace=0)
    async with slot(admission), slot(admission), slot(admission):
        assert admission.running == 3


async def test_answers_start_no_faster_than_the_pace() -> None:
    clock = SystemClock()
    admission = Admission(clock, concurrent=0, queue=9, pace=0.03)
    starts = []
    for _ in range(3):
        async with slot(admission):
            starts.append(clock.monotonic())
    assert starts[2] - starts[0] >= 0.05, "an event loop's timers may be early by some milliseconds"


async def test_who_gives_up_before_its_time_takes_none_from_the_others() -> None:
    admission = Admission(SystemClock(), concurrent=1, queue=9, pace=0.2)
    async with slot(admission):
        pass
    for _ in range(5):
        waiting = asyncio.create_task(admission.enter())
        while not admission.waiting:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    began = SystemClock().monotonic()
    async with slot(admission):
        assert SystemClock().monotonic() - began < 0.4, "five times the pace would be a second"
    assert (admission.running, admission.waiting) == (0, 0)


async def test_who_waits_for_the_pace_waits_in_the_queue() -> None:
    admission = Admission(SystemClock(), concurrent=0, queue=1, pace=30)
    async with slot(admission):
        waiting = asyncio.create_task(admission.enter())
        while not admission.waiting:
            await asyncio.sleep(0)
        assert admission.running == 1
        with pytest.raises(QueueFull, match="waiting: 1"):
            await admission.enter()
        waiting.cancel()
        await asyncio.wait([waiting])
