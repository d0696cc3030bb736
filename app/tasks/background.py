"""The owner of tasks that outlive the request that began them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class BackgroundTasks:
    """Keeps its tasks alive, and waits for them on closing: at most `patience` seconds, then cancels them."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()  # kept: up to Python 3.11 asking for it costs a system call

    def spawn(self, work: Coroutine[Any, Any, _T], name: str, *, awaited: bool = False) -> asyncio.Task[_T]:
        """Run `work` as an owned task. A failure is logged, unless the caller says that it awaits the task."""
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard if awaited else self._done)
        return task

    async def outlast(self, task: asyncio.Task[_T]) -> _T:
        """Await a task that goes on if the caller is cancelled; a failure that nobody hears of then is logged."""
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._done)
            raise

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.warning("Could not %s: %s", task.get_name(), str(problem) or type(problem).__name__)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._patience)
        while self._tasks:
            left = list(self._tasks)
            for task in left:
                _log.warning("Giving up at the end: %s", task.get_name())
                task.cancel()
            await asyncio.wait(left)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` beside the program and cancel it at the end. If it fails, that is logged and the program goes on."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        _log.error("Could not %s", task.get_name(), exc_info=problem)
