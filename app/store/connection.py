"""One SQLite file: how it is opened, how a transaction is run, and what its errors mean (docs/architecture.md)."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from app.errors import StoreBusy, StoreError, StoreUnusable

_T = TypeVar("_T")
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_UNUSABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SYNCHRONOUS = {True: "PRAGMA synchronous = FULL", False: "PRAGMA synchronous = NORMAL"}
_CHECKPOINT = "PRAGMA wal_autocheckpoint = 4000"  # pages, 16 MB: four times as seldom as SQLite does by itself
_ADVICE = {
    sqlite3.SQLITE_FULL: "The disk is full; make room.",
    sqlite3.SQLITE_READONLY: "The file or its folder is read-only; give the server's user the right to write.",
    sqlite3.SQLITE_CANTOPEN: "Look at the rights of the file and its folder, and at how many files are open.",
    sqlite3.SQLITE_IOERR: "The disk does not work as it should; see the system's log.",
}


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what a person can mend into StoreError; mistakes in our own SQL pass through."""
    try:
        yield
    except sqlite3.DatabaseError as problem:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            raise StoreBusy(f"The database {path} is locked by another program.", retry_after=5) from problem
        if code in _UNUSABLE:
            raise StoreUnusable(
                f"The database {path} cannot be used: {problem}. Restore a backup of it, or move it away to start "
                "with an empty one."
            ) from problem
        if code in _ADVICE:
            raise StoreError(f"The database {path} could not be used: {problem}. {_ADVICE[code]}") from problem
        raise


Values = Sequence[Any] | Mapping[str, Any]


async def connect(path: Path, *, busy_seconds: float, read_only: bool = False) -> aiosqlite.Connection:
    """Open the file with the settings that every connection needs. `busy_seconds`: how long a lock is waited out."""
    connection = await aiosqlite.connect(path, isolation_level=None, timeout=busy_seconds)
    try:
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA foreign_keys = ON")
        await connection.execute(_SYNCHRONOUS[True])
        await connection.execute_fetchall(_CHECKPOINT)  # its row must be taken, else it stays under way
        if read_only:
            await connection.execute("PRAGMA query_only = ON")
    except BaseException:
        await connection.close()
        raise
    return connection


@dataclass(frozen=True, slots=True)
class _Write:
    """Work that waits for its transaction, and who waits for the work."""

    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    done: "asyncio.Future[Any]"


class Database:
    """Two connections to one file: one writes, one transaction at a time, the other reads what is committed.

    A durable write survives a loss of power. Another one survives the end of the process and becomes durable with the
    next durable one; it does not wait for the disk. Writes are done in the order in which they came; those that come
    while a transaction runs share the next one.
    """

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, path: Path) -> None:
        self._writer = writer
        self._reader = reader
        self._path = path
        self._loop = asyncio.get_running_loop()  # kept: up to Python 3.11 asking for it costs a system call
        self._is_durable = True  # as `connect` leaves it
        self._waiting: list[_Write] = []
        self._writing: asyncio.Task[None] | None = None

    async def read(self, statement: str, values: Values) -> list[sqlite3.Row]:
        """Run one query."""
        try:
            return list(await self._reader.execute_fetchall(statement, values))
        except sqlite3.DatabaseError:
            with store_errors(self._path):
                raise

    async def write(self, work: Callable[[sqlite3.Connection], _T], *, durable: bool = True) -> _T:
        """Run `work` in SQLite's thread as one transaction; any failure undoes all of it.

        A caller that leaves before its transaction began takes its work along; later the work is done all the same.
        """
        write = _Write(work, durable, self._loop.create_future())
        self._waiting.append(write)
        if self._writing is None:
            self._writing = self._loop.create_task(self._write_all(), name="write to the database")
        try:
            result: _T = await write.done
        except sqlite3.DatabaseError:
            with store_errors(self._path):
                raise
        return result

    async def execute(self, statement: str, values: Values, *, durable: bool = True) -> int:
        """Run one statement as a transaction by itself; return how many rows it changed."""
        return await self.write(lambda connection: connection.execute(statement, values).rowcount, durable=durable)

    async def settle(self) -> None:
        """Wait until nothing is being written."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while batch := [write for write in self._waiting if not write.done.done()]:
                self._waiting = []
                durable = any(write.durable for write in batch)
                try:
                    outcomes = await self._transact([write.work for write in batch], durable=durable)
                except Exception as problem:  # the connection itself is closed or broken
                    outcomes = [problem] * len(batch)
                for write, outcome in zip(batch, outcomes, strict=True):
                    if write.done.done():
                        continue
                    if isinstance(outcome, Exception):
                        write.done.set_exception(outcome)
                    else:
                        write.done.set_result(outcome)
        finally:
            self._waiting = []
            self._writing = None

    async def _transact(self, works: Sequence[Callable[[sqlite3.Connection], Any]], *, durable: bool) -> list[Any]:
        """Run the works in SQLite's thread: one way there and back, which aiosqlite has no public method for."""

        def work() -> list[Any]:
            connection = self._writer._conn
            if durable is not self._is_durable:
                connection.execute(_SYNCHRONOUS[durable])
                self._is_durable = durable
            return _together(connection, works)

        outcomes: list[Any] = await self._writer._execute(work)
        return outcomes


def _together(connection: sqlite3.Connection, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    """Run all as one transaction; if one fails, each as a transaction by itself. Return results or exceptions."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as problem:
        return [problem] * len(works)
    try:
        outcomes = [work(connection) for work in works]
        connection.execute("COMMIT")
    except Exception as problem:
        if connection.in_transaction:
            connection.rollback()
        if len(works) == 1:
            return [problem]
        return [outcome for work in works for outcome in _together(connection, [work])]
    return outcomes
