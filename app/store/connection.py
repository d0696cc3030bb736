"""One SQLite file: how it is opened, how a transaction is run, and what its errors mean (docs/architecture.md)."""

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from msgspec import Struct

from app.errors import StoreBusy, StoreError, StoreUnusable
from app.store.many_rows import MOST_ROWS

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_I = TypeVar("_I")
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_UNUSABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SYNCHRONOUS = {True: "PRAGMA synchronous = FULL", False: "PRAGMA synchronous = NORMAL"}
_CACHE = {  # in KB; what is read is emptied by every write of the other connection
    True: "PRAGMA cache_size = -512",
    False: "PRAGMA cache_size = -1024",
}
_work_of = attrgetter("work")
_OLDEST = (3, 37)  # the first that has STRICT tables
RETRY_AFTER = 5  # seconds, with every fault that may pass
_CHECKPOINT = "PRAGMA wal_autocheckpoint = 4000"  # pages, 16 MB: four times as seldom as SQLite does by itself
_ADVICE = {
    sqlite3.SQLITE_FULL: "The disk is full; make room.",
    sqlite3.SQLITE_READONLY: "The file or its folder is read-only; give the server's user the right to write.",
    sqlite3.SQLITE_CANTOPEN: "Look at the rights of the file and its folder, and at how many files are open.",
    sqlite3.SQLITE_IOERR: "The disk does not work as it should; see the system's log.",
    sqlite3.SQLITE_IOERR_GETTEMPPATH: "There is no folder for SQLite's temporary files; SQLITE_TMPDIR names one.",
}


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what a person can mend into StoreError; mistakes in our own SQL pass through."""
    try:
        yield
    except sqlite3.DatabaseError as problem:
        told = _told(problem, path)
        if told is problem:
            raise
        raise told from problem


def _told(problem: sqlite3.DatabaseError, path: Path) -> Exception:
    """Return the StoreError that a person is told, or the problem itself."""
    code = _code(problem)
    told: StoreError
    if code in _BUSY:
        told = StoreBusy(f"The database {path} is locked by another program.", retry_after=RETRY_AFTER)
    elif code in _UNUSABLE:
        told = StoreUnusable(
            f"The database {path} cannot be used: {problem}. Restore a backup of it, or move it away to start "
            "with an empty one."
        )
    elif code in _ADVICE:
        advice = _ADVICE.get(getattr(problem, "sqlite_errorcode", code), _ADVICE[code])
        told = StoreError(f"The database {path} could not be used: {problem}. {advice}", retry_after=RETRY_AFTER)
    else:
        return problem
    told.__cause__ = problem
    return told


def _code(problem: Exception) -> int:
    """Return SQLite's primary result code, 0 if the problem is none of SQLite's."""
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


def refuse_old_sqlite() -> None:
    """Raise StoreUnusable for an SQLite library that does not know what the schema is written in."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StoreUnusable(
            f"Python {sys.version.split()[0]} brings SQLite {sqlite3.sqlite_version} here, and "
            f"{_OLDEST[0]}.{_OLDEST[1]} or newer is needed: take another Python, or a newer system."
        )


Values = Sequence[Any] | Mapping[str, Any]


async def connect(path: Path, *, busy_seconds: float, read_only: bool = False) -> aiosqlite.Connection:
    """Open the file with the settings that every connection needs. `busy_seconds`: how long a lock is waited out."""
    connection = await aiosqlite.connect(path, isolation_level=None, timeout=busy_seconds)
    try:
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA foreign_keys = ON")
        await connection.execute_fetchall("PRAGMA secure_delete = ON")  # what is removed is overwritten
        await connection.execute(_SYNCHRONOUS[True])
        await connection.execute_fetchall(_CHECKPOINT)  # its row must be taken, else it stays under way
        await connection.execute(_CACHE[read_only])
        if read_only:
            await connection.execute("PRAGMA query_only = ON")
    except BaseException:
        await connection.close()
        raise
    return connection


class _Write(Struct, frozen=True):
    """Work that waits for its transaction, and who waits for the work; `item` is None for work that is not shared."""

    work: Callable[..., Any]
    item: object
    done: "asyncio.Future[Any]"


class Database:
    """Two connections to one file: one writes, one transaction at a time, the other reads what is committed.

    A durable write survives a loss of power. Another one survives the end of the process and becomes durable with the
    next durable one; it does not wait for the disk. Writes are done in the order in which they came; those that come
    while a transaction runs share the next one. A write that was asked for is done, whether or not its caller waits.
    """

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, path: Path) -> None:
        self._writer = writer
        self._reader = reader
        self._path = path
        self._loop = asyncio.get_running_loop()  # kept: up to Python 3.11 asking for it costs a system call
        self._is_durable = True  # as `connect` leaves it
        self._waiting: list[_Write] = []
        self._waits_for_disk = False  # one of these
        self._under_way: asyncio.Future[None] | None = None  # done when nothing is being written

    async def read(self, statement: str, values: Values) -> list[sqlite3.Row]:
        """Run one query."""
        return await self.consult(lambda connection: connection.execute(statement, values).fetchall())

    async def consult(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` in SQLite's thread, which reads what was committed."""
        try:
            found: _T = await self._reader._execute(lambda: work(self._reader._conn))
        except sqlite3.DatabaseError:
            with store_errors(self._path):
                raise
        return found

    def write(self, work: Callable[[sqlite3.Connection], _T], *, durable: bool = True) -> "asyncio.Future[_T]":
        """Run `work` in SQLite's thread as one transaction; any failure undoes all of it.

        It is under way when this returns; the future is the caller's own, and its cancellation undoes nothing.
        """
        return self._add(work, None, durable=durable)

    def share(
        self, work: Callable[[sqlite3.Connection, Sequence[_I]], None], item: _I, *, durable: bool
    ) -> "asyncio.Future[None]":
        """Do the same as `write` with `work(connection, [item])`; items that follow each other are given it at once.

        `work` writes up to MOST_ROWS items by one statement.
        """
        return self._add(work, item, durable=durable)

    async def execute(self, statement: str, values: Values, *, durable: bool = True) -> int:
        """Run one statement as a transaction by itself; return how many rows it changed."""
        return await self.write(lambda connection: connection.execute(statement, values).rowcount, durable=durable)

    async def settle(self) -> None:
        """Wait until nothing is being written."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])

    def _add(self, work: Callable[..., Any], item: object, *, durable: bool) -> "asyncio.Future[Any]":
        done = self._loop.create_future()
        self._waiting.append(_Write(work, item, done))
        self._waits_for_disk |= durable
        if self._under_way is None:
            self._under_way = self._loop.create_future()
            self._begin()
        return done

    def _begin(self) -> None:
        """Have all that waits written in SQLite's thread, which aiosqlite has no public method for.

        Its own way there takes a task, and turns of the event loop on both sides.
        """
        batch, durable = self._waiting, self._waits_for_disk
        self._waiting, self._waits_for_disk = [], False
        if self._writer._connection is None:
            self._end(batch, [ValueError("The connection is closed.")] * len(batch))
        else:
            self._writer._tx.put_nowait((None, partial(self._transact, batch, durable=durable)))

    def _transact(self, batch: Sequence[_Write], *, durable: bool) -> None:
        """Do the work, in SQLite's thread."""
        try:
            connection = self._writer._conn
            if durable is not self._is_durable:
                connection.execute(_SYNCHRONOUS[durable])
                self._is_durable = durable
            outcomes = _together(connection, batch)
        except Exception as problem:  # the connection itself is closed or broken
            outcomes = [problem] * len(batch)
        self._loop.call_soon_threadsafe(self._end, batch, outcomes)

    def _end(self, batch: Sequence[_Write], outcomes: Sequence[Any]) -> None:
        """Tell what became of writes, and go on with those that came meanwhile."""
        for write, outcome in zip(batch, outcomes, strict=True):
            self._tell(write.done, outcome)
        if self._waiting:
            self._begin()
        elif self._under_way is not None:
            self._under_way.set_result(None)
            self._under_way = None

    def _tell(self, done: "asyncio.Future[Any]", outcome: Any) -> None:
        if isinstance(outcome, sqlite3.DatabaseError):
            outcome = _told(outcome, self._path)
        if not isinstance(outcome, Exception):
            if not done.done():
                done.set_result(outcome)
        elif not done.done():
            done.set_exception(outcome)
        else:
            _log.error("What nobody waited for could not be written: %s", outcome, exc_info=outcome)


def _together(connection: sqlite3.Connection, batch: Sequence[_Write]) -> list[Any]:
    """Do all as one transaction; if one fails, each as a transaction by itself. Return results or exceptions."""
    try:
        if _is_one_statement(batch):
            return _in_order(connection, batch)
        connection.execute("BEGIN IMMEDIATE")
        outcomes = _in_order(connection, batch)
        connection.execute("COMMIT")
    except Exception as problem:
        if connection.in_transaction:
            connection.rollback()
        if len(batch) == 1 or _code(problem) in _BUSY:
            return [problem] * len(batch)
        return [outcome for write in batch for outcome in _together(connection, [write])]
    return outcomes


def _is_one_statement(batch: Sequence[_Write]) -> bool:
    """Say whether all is shared work that one statement does, which is a transaction by itself."""
    work = batch[0].work
    return batch[0].item is not None and len(batch) <= MOST_ROWS and all(write.work == work for write in batch)


def _in_order(connection: sqlite3.Connection, batch: Sequence[_Write]) -> list[Any]:
    outcomes: list[Any] = []
    for work, group in groupby(batch, _work_of):
        items = [write.item for write in group]
        if items[0] is None:
            outcomes += [work(connection) for _ in items]
        else:
            work(connection, items)
            outcomes += [None] * len(items)
    return outcomes
