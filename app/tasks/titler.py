"""Give chats on the site the title that a person expects, where the site would make one of our instructions."""

import asyncio
import logging
from collections import deque

from app.clock import Clock
from app.core.ports import Upstream
from app.errors import UpstreamError

_log = logging.getLogger(__name__)
_MOST_WAITING = 1000


class Titler:
    """Renames chats some seconds after their first answer, when the site has written its own title.

    A title is a nicety: one that cannot be set is logged and forgotten, and so are those that a stop leaves over.
    """

    def __init__(self, upstream: Upstream, clock: Clock, *, delay: float) -> None:
        self._upstream = upstream
        self._clock = clock
        self._delay = delay
        self._waiting: deque[tuple[float, str, str]] = deque(maxlen=_MOST_WAITING)
        self._news = asyncio.Event()

    def name(self, chat_id: str, title: str) -> None:
        """Have a chat renamed, soon."""
        self._waiting.append((self._clock.monotonic() + self._delay, chat_id, title))
        self._news.set()

    async def run(self) -> None:
        """Rename what is due, until cancelled."""
        while True:
            while self._waiting:
                due, chat_id, title = self._waiting.popleft()
                await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
                try:
                    await self._upstream.rename_chat(chat_id, title)
                except UpstreamError as problem:
                    _log.info("Chat %s keeps the site's own title: %s", chat_id, problem)
            self._news.clear()
            await self._news.wait()
