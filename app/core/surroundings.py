"""What every turn works with."""

from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct

from app.clock import Clock
from app.core.ports import Background, Meter, SessionStore, Upstream

NO_ANSWER = "no answer"  # why a chat is deleted in which nothing was ever said


class Patience(Struct, frozen=True):
    """How upstream's bad moments are waited out; times are in seconds.

    A chat's lock that outlasts its answer: a try `every` so often, for `total` at most. What was not reached: `tries`
    in all, with about `retry` before the second. A broken stream's answer is looked at for `read_back` at most; a video
    that is being made for `video`, a look `video_every` so often.
    """

    every: float = 1.0
    total: float = 6.0
    tries: int = 3
    retry: float = 0.5
    read_back: float = 60.0
    video: float = 1800.0
    video_every: float = 5.0


class Surroundings(Struct, frozen=True):
    """What every turn works with.

    `on_chat_released` is told when a chat may be deleted, `on_chat_named` which title a new chat should have.
    """

    upstream: Upstream
    store: SessionStore
    background: Background
    clock: Clock
    meter: Meter
    patience: Patience
    deletion_delay: timedelta
    on_chat_released: Callable[[], None]
    on_chat_named: Callable[[str, str], None]

    async def let_go(self, session_id: str, reason: str) -> None:
        """Have the chat of a live session deleted upstream, soon; nothing continues in it. Raises StoreError."""
        now = self.clock.now()
        await self.store.doom(session_id, reason, now, now + self.deletion_delay)
        self.on_chat_released()
