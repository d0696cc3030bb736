"""A timer rings only for a wait that lasts too long, whatever waits there were before."""

import asyncio

from app.upstream.http.alarm import Alarm


async def test_an_alarm_rings_once_and_only_for_a_wait_that_is_overdue() -> None:
    loop = asyncio.get_running_loop()
    rung: list[float] = []
    alarm = Alarm(loop, lambda: rung.append(loop.time()))
    alarm.arm(loop.time() + 0.01)
    alarm.deadline = None
    await asyncio.sleep(0.03)
    assert not rung
    alarm.arm(loop.time() + 0.01)
    alarm.deadline = None
    due = loop.time() + 0.04
    alarm.arm(due)
    await asyncio.sleep(0.1)
    assert len(rung) == 1 and rung[0] >= due


async def test_a_long_wait_that_ended_does_not_delay_the_alarm_of_a_short_one() -> None:
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()
    alarm = Alarm(loop, rung.set)
    alarm.arm(loop.time() + 60)
    alarm.deadline = None
    alarm.arm(loop.time() + 0.01)
    await asyncio.wait_for(rung.wait(), 5)


async def test_an_alarm_that_is_cancelled_is_silent() -> None:
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    alarm = Alarm(loop, rung.set)
    alarm.arm(loop.time() + 0.01)
    alarm.cancel()
    await asyncio.sleep(0.03)
    assert not rung.is_set()
