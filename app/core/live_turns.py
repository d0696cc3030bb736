"""The turns that are under way: which chats are busy with an answer, and which ends are still being recorded."""

import asyncio
from collections.abc import Sequence

from app.core.turn import Turn


class LiveTurns:
    """Owns turns from their beginning until their ends are recorded."""

    def __init__(self) -> None:
        self._live: set[Turn] = set()
        self._closing: set[Turn] = set()  # those whose request is over and whose end is not recorded yet

    def add(self, turn: Turn) -> None:
        """Take a turn that is about to begin."""
        self._live.add(turn)

    def is_busy(self, chat_id: str) -> bool:
        """Say whether an answer is under way in a chat; "" is a chat that is still to be made."""
        return bool(chat_id) and any(turn.chat_id == chat_id and not self._is_over(turn) for turn in self._live)

    async def is_writing(self, name: str, owner: str, seconds: float) -> bool:
        """Say whether an owner's answer is still to be recorded; one that is over is waited for so long at most."""
        alike = [turn for turn in self._live if turn.name == name and turn.draft.owner == owner]
        await _done([turn.recorded for turn in alike], seconds)
        return any(turn.recorded is None or not turn.recorded.done() for turn in alike)

    def part_with(self, turn: Turn) -> None:
        """Close the turn's connection; its chat is free once the turn is recorded, and stopped upstream if need be."""
        turn.leave()
        if turn.closing is None or turn.closing.done():
            self._live.discard(turn)
        else:
            self._closing.add(turn)
            turn.closing.add_done_callback(lambda _: self._recorded(turn))

    async def recorded(self, owner: str, seconds: float) -> None:
        """Wait until the ends of an owner's answers are recorded whose requests are over, for so long at most."""
        await _done([turn.recorded for turn in self._closing if turn.draft.owner == owner], seconds)

    async def settled(self, chat_id: str, seconds: float) -> None:
        """Wait until a chat is free of answers whose requests are over, for so long at most."""
        await _done([turn.closing for turn in self._closing if turn.chat_id == chat_id], seconds)

    def _is_over(self, turn: Turn) -> bool:
        """Say whether nothing of a turn is to come; asked of itself, since its callback may not have come yet."""
        return turn in self._closing and turn.closing is not None and turn.closing.done()

    def _recorded(self, turn: Turn) -> None:
        self._live.discard(turn)
        self._closing.discard(turn)


async def _done(ends: Sequence[asyncio.Future[None] | None], seconds: float) -> None:
    waiting = [end for end in ends if end is not None and not end.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=seconds)
