"""Tasks that outlive their request are awaited at the end, and their failures are told."""

import asyncio
import logging

import pytest

from app.tasks.background import BackgroundTasks, running


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


async def test_what_runs_beside_the_program_may_fail_without_ending_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with running(fail(), "clean up"):
            await asyncio.sleep(0.01)
    assert "Could not clean up" in caplog.text
