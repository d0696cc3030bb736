"""A block is answered with quiet, and one request finds out when it is over."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.errors import ChatGone, UpstreamBlocked, UpstreamError, UpstreamUnreachable
from app.upstream.qwen.pause import Pause
from tests.core.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pause(clock: FakeClock) -> Pause:
    return Pause(clock, first=60)


@contextmanager
def guarded(pause: Pause) -> Iterator[None]:
    """Stand around one guarded call."""
    is_probe = pause.enter()
    try:
        yield
    except UpstreamError as problem:
        pause.failed(problem)
        raise
    else:
        pause.passed()
    finally:
        if is_probe:
            pause.leave()


def block(pause: Pause) -> UpstreamBlocked:
    """One call that the bot protection answers."""
    problem = UpstreamBlocked("The bot protection answered.")
    with pytest.raises(UpstreamBlocked), guarded(pause):
        pause.blocked(problem)
        raise problem
    return problem


def is_held(pause: Pause) -> bool:
    try:
        with guarded(pause):
            raise UpstreamUnreachable("It never got there.")
    except UpstreamBlocked:
        return True
    except UpstreamUnreachable:
        return False


def test_without_a_block_every_call_goes_through(pause: Pause) -> None:
    assert not is_held(pause)
    assert pause.problem is None


def test_the_waits_double_up_to_an_hour_and_start_anew_after_an_answer(pause: Pause, clock: FakeClock) -> None:
    waits = []
    for _ in range(8):
        waits.append(block(pause).retry_after)
        assert is_held(pause)
        clock.seconds += waits[-1] or 0
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    with guarded(pause):
        pass
    assert pause.problem is None
    assert block(pause).retry_after == 60


def test_a_block_without_end_is_waited_for_an_hour_each_time(pause: Pause, clock: FakeClock) -> None:
    for _ in range(1100):
        clock.seconds += block(pause).retry_after or 0
    assert block(pause).retry_after == 3600


def test_blocks_of_calls_that_were_on_their_way_count_as_one(pause: Pause, clock: FakeClock) -> None:
    first, late = UpstreamBlocked("first"), UpstreamBlocked("late")
    pause.blocked(first)
    clock.seconds += 20
    pause.blocked(late)
    assert (first.retry_after, late.retry_after) == (60, 40)


def test_a_late_answer_does_not_end_the_pause(pause: Pause) -> None:
    with guarded(pause):
        pause.blocked(UpstreamBlocked("another call was blocked meanwhile"))
    assert is_held(pause)


def test_one_call_tries_while_the_others_are_held(pause: Pause, clock: FakeClock) -> None:
    block(pause)
    assert "Nothing is sent to it until" in (pause.problem or "")
    clock.seconds += 60
    assert "next request" in (pause.problem or "")
    with guarded(pause):
        assert is_held(pause)
    assert not is_held(pause)


def test_a_try_that_reached_nobody_says_nothing(pause: Pause, clock: FakeClock) -> None:
    block(pause)
    clock.seconds += 60
    assert not is_held(pause)
    assert pause.problem is not None


def test_a_refusal_by_the_site_itself_shows_that_the_block_is_over(pause: Pause, clock: FakeClock) -> None:
    block(pause)
    clock.seconds += 60
    with pytest.raises(ChatGone), guarded(pause):
        raise ChatGone("There is no such chat.")
    assert pause.problem is None


def test_without_a_pause_the_next_call_tries(clock: FakeClock) -> None:
    pause = Pause(clock, first=0)
    assert block(pause).retry_after is None
    assert not is_held(pause)
