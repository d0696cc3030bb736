"""Turns that have begun and are not in the database yet: one that ends soon is written once, together with its end."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import chain

import msgspec

from app.errors import StoreError
from app.store import statements
from app.store.connection import Database
from app.store.journal import Journal
from app.store.turns import Opening, write_turns

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 1.0  # then a person finds it in the database
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Opening).decode


class Beginnings:
    """Owns the openings that wait, kept by the journal until the database has them."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, tuple[Opening, bytes]] = {}  # by the node's id
        self._writing: dict[str, tuple[Opening, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def adopt(self) -> None:
        """Write what a process that was killed left behind. Raises StoreError."""
        left: dict[str, Opening] = {}
        for line in await asyncio.to_thread(self._journal.read):
            try:
                opening = _decode(line)
            except msgspec.DecodeError:
                _log.info("A line of the journal was torn; its turn had not begun")
                continue
            left[opening.node_id] = opening
        known = await self._database.read(statements.KNOWN_IDS, (_encode(list(left)).decode(),))
        for row in known:
            left.pop(row["id"], None)
        for opening in left.values():
            try:
                await self._database.share(write_turns, opening, durable=True)
            except sqlite3.IntegrityError as problem:
                _log.warning("The turn %s, which a stop cut, belongs to no session here: %s", opening.node_id, problem)
        await asyncio.to_thread(self._journal.clear)

    def add(self, opening: Opening) -> "asyncio.Future[None]":
        """Keep an opening; it survives the end of the process when the future is done.

        That is at once, unless the journal has no room for it, so that it is written now.
        """
        line = _encode(opening)
        if not self._journal.add(line, self._wanted()):
            return self._database.share(write_turns, opening, durable=False)
        done = self._loop.create_future()
        self._waiting[opening.node_id] = opening, line
        if self._timer is None:
            self._timer = self._loop.call_later(_WAIT_SECONDS, self._look)
        done.set_result(None)
        return done

    def _wanted(self) -> Iterator[bytes]:
        """Give the lines that the database does not have yet."""
        for _, line in chain(self._waiting.values(), self._writing.values()):
            yield line

    def follows(self, node_id: str) -> bool:
        """Say whether one of the turns that wait goes on from a node."""
        return any(opening.parent_id == node_id for opening, _ in self._waiting.values())

    def write(self, node_id: str) -> None:
        """Have an opening written with whatever is written next, if it waits."""
        entry = self._waiting.pop(node_id, None)
        if entry is not None:
            self._writing[node_id] = entry
            written = self._database.share(write_turns, entry[0], durable=False)
            written.add_done_callback(partial(self._written, node_id))

    def write_all(self) -> None:
        """Have all openings written that wait."""
        for node_id in list(self._waiting):
            self.write(node_id)

    async def close(self) -> None:
        """Write nothing any more; what waits still is found by the next start."""
        if self._timer is not None:
            self._timer.cancel()
        await self._database.settle()
        await asyncio.to_thread(self._journal.close, is_wanted=bool(self._waiting))

    def _look(self) -> None:
        """Write what waits for long; texts that the database has are not left in the journal either."""
        self._timer = None
        if self._waiting or self._writing:
            self.write_all()
            self._timer = self._loop.call_later(_WAIT_SECONDS, self._look)
        else:
            self._journal.rewind()

    def _written(self, node_id: str, written: "asyncio.Future[None]") -> None:
        entry = self._writing.pop(node_id)
        problem = None if written.cancelled() else written.exception()
        if isinstance(problem, StoreError):
            _log.warning("A turn that has begun could not be written so far: %s", problem)
            self._waiting[node_id] = entry
        elif problem is not None:
            _log.error("The turn %s cannot be written: %s", node_id, problem)
