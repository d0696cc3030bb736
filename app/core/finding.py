"""Find where a request goes on, once what came before it is recorded (docs/sessions.md, Looking up)."""

import logging
from collections.abc import Callable

from msgspec.structs import replace

from app.core.canonical import without_additions
from app.core.following import still_written
from app.core.history import History
from app.core.ladder import Found, Ladder, Search
from app.core.live_turns import LiveTurns
from app.core.messages import Message
from app.core.ports import NamedAnswer, SessionStore
from app.core.recovery import Recovery
from app.errors import PreviousResponseNotFound

_log = logging.getLogger(__name__)
_SETTLE_SECONDS = 3.0


class Finder:
    """Looks places up and says in the log why it is these. A place in a chat that is busy is none.

    `window` False leaves the window rung out (WINDOW_MATCH).
    """

    def __init__(self, store: SessionStore, recovery: Recovery, live: LiveTurns, *, window: bool) -> None:
        self._store = store
        self._recovery = recovery
        self._live = live
        self._ladder = Ladder(store, window=window)

    async def find(
        self,
        messages: tuple[Message, ...],
        history: History,
        read: Callable[[tuple[Message, ...]], History],
        owner: str,
    ) -> Found | None:
        """Look up the place of a history; where that is none, or before its end, also without what clients add."""
        found, is_busy = await self._look_up(history, owner)
        if is_busy or not history.anchors or (found is not None and found.match != "branch"):
            return found
        plain = without_additions(messages)
        if plain is messages:
            return found
        _log.info("Looking once more, without what some clients add to answers")
        again, _ = await self._look_up(read(plain), owner)
        if again is None or (found is not None and again.match == "branch" and again.index <= found.index):
            return found
        # what is told is what the client shows: what stands like an addition may be the model's own
        return replace(again, history=replace(again.history, spoken=history.spoken))

    async def _look_up(self, history: History, owner: str) -> tuple[Found | None, bool]:
        """Look up the place, and say in the log why it is this one. Return None and True where its chat is busy."""
        if history.anchors:
            await self._recorded(owner)
        search = await self._ladder.find(history)
        if search.found is None:
            _log.info("Place: %s", search)
            return None, False
        free = await self.free(search)
        return free, free is None

    async def free(self, search: Search) -> Found | None:
        """Return what was found, unless its chat is busy; say in the log why it is this place."""
        assert search.found is not None
        place = search.found.place
        await self._live.settled(place.chat_id, _SETTLE_SECONDS)
        if self._live.is_busy(place.chat_id):
            _log.info("Place: new (%s: chat %s is busy with another answer)", search.found.rung, place.chat_id)
            return None
        if self._recovery.is_reading(place.chat_id):
            _log.info("Place: new (%s: an answer in chat %s is still read back)", search.found.rung, place.chat_id)
            return None
        _log.info("Place: %s in %s", search, place.session_id)
        return search.found

    async def answer_named(self, name: str, owner: str) -> NamedAnswer:
        """Return the answer that a request goes on from, once its end is recorded.

        Raises PreviousResponseNotFound, ResponseUnfinished.
        """
        await self._recorded(owner)
        if await self.is_writing(name, owner):
            raise still_written()
        named = await self._store.find_answer(name, owner)
        if named is None:
            raise PreviousResponseNotFound(f"No answer is named {name}.", param="previous_response_id")
        return named

    async def is_writing(self, name: str, owner: str) -> bool:
        """Say whether an owner's answer is still being written."""
        return await self._live.is_writing(name, owner, _SETTLE_SECONDS)

    async def _recorded(self, owner: str) -> None:
        """Wait for answers that were just given up or cut: the next request often continues one."""
        await self._recovery.settled(_SETTLE_SECONDS)
        await self._live.recorded(owner, _SETTLE_SECONDS)
