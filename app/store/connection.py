"""One SQLite file: how it is opened, how a transaction is run, and what its errors mean (docs/architecture.md)."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import aiosqlite

from app.errors import StoreBusy, StoreError, StoreUnusable

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_UNUSABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
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


Synchronous = Literal["FULL", "NORMAL"]
Values = Sequence[Any] | Mapping[str, Any]


async def connect(
    path: Path, *, busy_seconds: float, synchronous: Synchronous = "FULL", read_only: bool = False
) -> aiosqlite.Connection:
    """Open the file with the settings that every connection needs. `busy_seconds`: how long a lock is waited out."""
    connection = await aiosqlite.connect(path, isolation_level=None, timeout=busy_seconds)
    try:
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA foreign_keys = ON")
        await connection.execute(f"PRAGMA synchronous = {synchronous}")
        if read_only:
            await connection.execute("PRAGMA query_only = ON")
    except BaseException:
        await connection.close()
        raise
    return connection


class Database:
    """Three connections to one file: two write, one transaction at a time, one reads what is committed.

    What `durable` wrote survives a loss of power. What `swift` wrote survives the end of the process and becomes
    durable with the next durable transaction; it does not wait for the disk.
    """

    def __init__(
        self, durable: aiosqlite.Connection, swift: aiosqlite.Connection, reader: aiosqlite.Connection, path: Path
    ) -> None:
        self._durable = durable
        self._swift = swift
        self._reader = reader
        self._path = path
        self._turn = asyncio.Lock()

    async def read(self, statement: str, values: Values) -> list[sqlite3.Row]:
        """Run one query."""
        with store_errors(self._path):
            return list(await self._reader.execute_fetchall(statement, values))

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[aiosqlite.Connection]:
        """Run several statements as one; any failure or cancellation undoes them all."""
        connection = self._durable if durable else self._swift
        async with self._turn:
            with store_errors(self._path):
                try:
                    await connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    await connection.execute("COMMIT")
                except BaseException:
                    # queued at once, behind what a cancelled statement still does in SQLite's thread
                    await connection.rollback()
                    raise

    async def execute(self, statement: str, values: Values, *, durable: bool = True) -> None:
        """Run one statement, which is a transaction by itself."""
        async with self._turn:
            with store_errors(self._path):
                await (self._durable if durable else self._swift).execute(statement, values)
