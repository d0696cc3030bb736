"""Turns that have begun and are not in the database yet: one that ends soon is written once, together with its end."""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from functools import partial
from itertools import chain

import msgspec
from msgspec import Struct

from app.errors import StoreError
from app.store import statements
from app.store.connection import RETRY_AFTER, Database
from app.store.journal import Journal
from app.store.turns import Ending, Opening, TurnWriter, Written

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 1.0  # then other programs find it in the database
_MOST_LATE = 64  # ends that wait for the database; each keeps an answer in memory
_FORM = 2  # of a record; an opening in another form is not understood


class Record(Struct, frozen=True, gc=False):
    """An opening as the journal keeps it."""

    form: int
    opening: Opening


class _Kept(Struct, gc=False):
    """An opening that waits, and its place in the journal; `is_tried`: it could not be written so far."""

    opening: Opening
    place: int
    is_tried: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Beginnings:
    """Owns the openings that wait, kept by the journal until the database has them."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._turns = TurnWriter()
        self._loop = asyncio.get_running_loop()
        self._is_adopted = False
        self._waiting: dict[str, _Kept] = {}  # by the node's id
        self._writing: dict[str, _Kept] = {}
        self._late: set[str] = set()  # nodes whose end could not be written so far
        self._timer: asyncio.TimerHandle | None = None

    async def adopt(self) -> None:
        """Write what a process that was killed left behind. Raises StoreError, with all of it left as it was."""
        left = {opening.node_id: opening for opening in _read(await asyncio.to_thread(self._journal.read))}
        for row in await self._database.read(statements.KNOWN_IDS, (_encode(list(left)).decode(),)):
            del left[row["id"]]
        for opening in left.values():
            try:
                await self._database.share(self._turns.write, Written(opening, None), durable=True)
            except StoreError as problem:
                if not isinstance(problem.__cause__, sqlite3.IntegrityError):
                    raise
                _log.warning("A turn that a stop cut belongs to no session here: %s", opening.node_id)
        await asyncio.to_thread(self._journal.clear)
        self._is_adopted = True

    def begin(self, opening: Opening) -> "asyncio.Future[None]":
        """Keep an opening; it survives the end of the process when the future is done.

        That is at once, unless the journal has no room for it, so that it is written now. While many turns that ended
        cannot be written, none is begun whose end nobody could be told of: StoreError.
        """
        if len(self._late) >= _MOST_LATE:
            return self._refused()
        place = self._journal.add(_encode(Record(_FORM, opening)))
        if place is None:
            return self._database.share(self._turns.write, Written(opening, None), durable=False)
        self._waiting[opening.node_id] = _Kept(opening, place)
        if self._timer is None:
            self._timer = self._loop.call_later(_WAIT_SECONDS, self._look)
        done = self._loop.create_future()
        done.set_result(None)
        return done

    def _refused(self) -> "asyncio.Future[None]":
        refused = self._loop.create_future()
        told = f"The database cannot be written, and {len(self._late)} answers wait for it already."
        refused.set_exception(StoreError(told, retry_after=RETRY_AFTER))
        return refused

    def end(self, ending: Ending) -> "asyncio.Future[None]":
        """Write how a turn ended, with its opening if that waits; either both are written or none.

        One that fails in passing is asked for again by whoever owns the turn.
        """
        kept = self._waiting.pop(ending.node_id, None)
        return self._write(ending.node_id, kept, ending)

    def write_all(self) -> None:
        """Have all openings written that wait."""
        for node_id, kept in list(self._waiting.items()):
            del self._waiting[node_id]
            _ = self._write(node_id, kept, None)

    def follows(self, node_id: str) -> bool:
        """Say whether one of the turns that wait goes on from a node."""
        kept = chain(self._waiting.values(), self._writing.values())
        return any(each.opening.parent_id == node_id for each in kept)

    async def close(self) -> None:
        """Write nothing any more; what waits still is found by the next start."""
        if self._timer is not None:
            self._timer.cancel()
        await self._database.settle()
        await asyncio.sleep(0)  # what was written is told first
        is_wanted = bool(self._waiting or self._writing) or not self._is_adopted
        await asyncio.to_thread(self._journal.close, is_wanted=is_wanted)

    def _write(self, node_id: str, kept: _Kept | None, ending: Ending | None) -> "asyncio.Future[None]":
        opening = None if kept is None else kept.opening
        written = self._database.share(self._turns.write, Written(opening, ending), durable=ending is not None)
        if kept is not None:
            self._writing[node_id] = kept
        written.add_done_callback(partial(self._written, node_id, ending is not None))
        return written

    def _look(self) -> None:
        """Write what has waited for long enough; what could not be written waits for its end."""
        self._timer = None
        for node_id, kept in list(self._waiting.items()):
            if not kept.is_tried:
                del self._waiting[node_id]
                _ = self._write(node_id, kept, None)

    def _written(self, node_id: str, is_end: bool, written: "asyncio.Future[None]") -> None:
        if written.cancelled():  # by its caller, so that nobody knows whether it was written: the next start finds out
            return
        kept = self._writing.pop(node_id, None)
        problem = written.exception()
        if isinstance(problem, StoreError) and not isinstance(problem.__cause__, sqlite3.IntegrityError):
            if is_end:
                self._late.add(node_id)
            if kept is not None:
                if not kept.is_tried:
                    _log.warning("A turn that has begun could not be written so far: %s", problem)
                kept.is_tried = True
                self._waiting[node_id] = kept
            return
        self._late.discard(node_id)
        if kept is not None:
            if problem is not None:
                _log.error("The turn %s cannot be written: %s", node_id, problem)
            self._journal.drop(kept.place)


def _read(records: Sequence[bytes]) -> list[Opening]:
    """Return what can be understood of the records of an earlier process."""
    openings = []
    for record in records:
        try:
            read = _decode(record)
            if read.form == _FORM:
                openings.append(read.opening)
                continue
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        _log.warning("A record of the journal is torn, or of another version; its turn is not read back")
    return openings
