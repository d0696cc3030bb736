"""An owner for tasks, as the core asks for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

_T = TypeVar("_T")


class Background(Protocol):
    """Owns tasks that must outlive the request that began them; awaits them before the program ends."""

    def spawn(self, work: Coroutine[Any, Any, _T], name: str, *, awaited: bool = False) -> asyncio.Task[_T]:
        """Run `work` as an owned task. A failure is logged, unless the caller says that it awaits the task."""
        ...

    async def outlast(self, work: asyncio.Future[_T], name: str) -> _T:
        """Await what goes on if the caller is cancelled; a failure that nobody hears of then is logged."""
        ...
