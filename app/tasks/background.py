"""The owner of tasks that outlive the request that began them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 600.0


class BackgroundTasks:
    """Keeps its tasks alive, and waits for them on closing: at most `patience` seconds, then cancels them."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._names: dict[asyncio.Future[Any], str] = {}  # of all that is under way and not awaited by its caller
        self._loop = asyncio.get_running_loop()  # kept: up to Python 3.11 asking for it costs a system call

    def spawn(self, work: Coroutine[Any, Any, _T], name: str, *, awaited: bool = False) -> asyncio.Task[_T]:
        """Run `work` as an owned task. A failure is logged, unless the caller says that it awaits the task."""
        task = self._loop.create_task(work, name=name)
        self._names[task] = name
        task.add_done_callback(self._forget if awaited else partial(self._log_failure, name))
        return task

    async def outlast(self, work: asyncio.Future[_T], name: str) -> _T:
        """Await what goes on if the caller is cancelled; then it is owned, and a failure is logged."""
        if not work.done():
            waiting = self._loop.create_future()
            work.add_done_callback(partial(_wake, waiting))
            try:
                await waiting
            except asyncio.CancelledError:
                self._names[work] = name
                work.add_done_callback(partial(self._log_failure, name))
                raise
        return work.result()

    def _forget(self, work: asyncio.Future[Any]) -> None:
        self._names.pop(work, None)

    def _log_failure(self, name: str, work: asyncio.Future[Any]) -> None:
        self._forget(work)
        if not work.cancelled() and (problem := work.exception()) is not None:
            _log.warning("Could not %s: %s", name, str(problem) or type(problem).__name__)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        deadline = self._loop.time() + self._patience
        while self._names and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait(list(self._names), timeout=left)  # what ends may begin something else
        while self._names:
            for work, name in self._names.items():
                _log.warning("Giving up at the end: %s", name)
                work.cancel()
            await asyncio.wait(list(self._names))


def _wake(waiting: "asyncio.Future[None]", _: "asyncio.Future[Any]") -> None:
    if not waiting.done():
        waiting.set_result(None)


@asynccontextmanager
async def running(
    work: Callable[[], Coroutine[Any, Any, None]], name: str, *, first_pause: float = 5.0
) -> AsyncIterator[None]:
    """Run `work` beside the program and cancel it at the end.

    If it fails, that is logged and it is begun again: after `first_pause` seconds, then after twice as long each time,
    10 minutes at most. One that ran for that long without a failure counts as sound.
    """
    task = asyncio.create_task(_begun_again(work, name, first_pause), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _begun_again(work: Callable[[], Coroutine[Any, Any, None]], name: str, first_pause: float) -> None:
    loop, pause = asyncio.get_running_loop(), first_pause
    while True:
        begun = loop.time()
        try:
            await work()
        except Exception:
            if loop.time() - begun > _LONGEST_PAUSE:
                pause = first_pause
            _log.exception("Could not %s; it is begun again in %.0f s", name, pause)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
