"""Waits that are not broken off: what the other side was asked to make is taken, whoever asked wants to leave."""

import asyncio
from typing import Any, TypeVar

_T = TypeVar("_T")


class Unbroken(asyncio.Future[_T]):
    """A future that is not cancelled with its waiter, whose own turn comes once it is done; a second time means it."""

    _is_asked = False

    def cancel(self, msg: Any | None = None) -> bool:
        """Take note of a first cancellation; say whether it is one."""
        if self._is_asked:
            return super().cancel(msg)
        self._is_asked = True
        return False


def put_off(cut: asyncio.CancelledError) -> None:
    """Have the running task cancelled at its next wait, since what it waited for has come first."""
    task = asyncio.current_task()
    assert task is not None, "it was cancelled"
    task.uncancel()
    task.cancel(*cut.args)
