"""Open the database file, alone and at the newest schema, and close it again (docs/architecture.md, Store)."""

import asyncio
import errno
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from app.clock import Clock
from app.errors import StoreUnusable
from app.store import turns
from app.store.connection import Database, connect, refuse_old_sqlite, store_errors
from app.store.in_place import prepare_index_of_log
from app.store.lock import DatabaseLock
from app.store.migrate import migrate, read_migrations, refuse_foreign

_log = logging.getLogger(__name__)
_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100


@asynccontextmanager
async def open_database(
    path: Path, migrations: Path, clock: Clock, *, busy_seconds: float, check_seconds: float
) -> AsyncIterator[Database]:
    """Open the file, made or migrated as needed. Raises StoreError, with the file left as it was.

    `check_seconds` bounds the look for damage after an unclean stop.
    """
    known = await asyncio.to_thread(read_migrations, migrations)
    refuse_old_sqlite()
    lock = DatabaseLock(path)
    sound = False
    try:
        with store_errors(path):
            sound = not await asyncio.to_thread(_prepare, path, lock, len(known))
            async with closing(await connect(path, busy_seconds=busy_seconds)) as writer:
                if not sound:
                    await _look_for_damage(writer, path, check_seconds)
                    sound = True
                await migrate(writer, path, known, clock)
                await _forget_statistics(writer)
                await writer.executescript(turns.PREPARE)
                async with closing(await connect(path, busy_seconds=busy_seconds, read_only=True)) as reader:
                    database = Database(writer, reader, path)
                    try:
                        yield database
                    finally:
                        await database.settle()
                await _tidy_up(writer, path)
    finally:
        await asyncio.to_thread(lock.release, clean=sound)


@asynccontextmanager
async def closing(connection: aiosqlite.Connection) -> AsyncIterator[aiosqlite.Connection]:
    """Close the connection at the end, whatever happens."""
    try:
        yield connection
    finally:
        await connection.close()


def _prepare(path: Path, lock: DatabaseLock, newest: int) -> bool:
    """Make folder and file with modes that keep other users out; return whether the last stop was unclean."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unclean = lock.acquire()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        prepare_index_of_log(path)
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError as problem:
        is_full = problem.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "Make room" if is_full else "Give the server's user the right to write there"
        raise StoreUnusable(
            f"The database {path} cannot be opened for writing: {problem.strerror}. {remedy}, or set another "
            "DATABASE_URL."
        ) from problem
    if header:
        _refuse_by_header(path, header, newest)
    return unclean


def _refuse_by_header(path: Path, header: bytes, newest: int) -> None:
    """Refuse a file of another kind by its first bytes: SQLite itself might tidy up even a file that it only reads."""
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise StoreUnusable(
            f"The database {path} cannot be used: it is no SQLite file. Restore a backup of it, or give DATABASE_URL a "
            "file of its own."
        )
    version = int.from_bytes(header[60:64], "big", signed=True)
    refuse_foreign(path, int.from_bytes(header[68:72], "big", signed=True), version, newest)


async def _look_for_damage(connection: aiosqlite.Connection, path: Path, seconds: float) -> None:
    """After an unclean stop read the whole file, within a bound. Raises StoreUnusable for a damaged one."""
    try:
        async with asyncio.timeout(seconds):
            found = list(await connection.execute_fetchall("PRAGMA quick_check(1)"))
    except TimeoutError:
        await connection.interrupt()
        _log.warning("The database %s is too large to be checked for damage in %g seconds", path, seconds)
        return
    if found[0][0] != "ok":
        raise StoreUnusable(
            f"The database {path} is damaged ({found[0][0]}). Restore a backup of it, or move it away to start with "
            "an empty one."
        )


async def _forget_statistics(connection: aiosqlite.Connection) -> None:
    """Drop what an ANALYZE wrote: without it SQLite takes every table for large, and our look-ups use their indexes.

    Statistics of a file that was small when they were made would have it read whole tables instead.
    """
    for table in ("sqlite_stat1", "sqlite_stat4"):
        await connection.execute(f"DROP TABLE IF EXISTS {table}")


async def _tidy_up(connection: aiosqlite.Connection, path: Path) -> None:
    """Leave one file behind, ready for the next start; nothing is lost where that fails."""
    try:
        await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as problem:
        _log.warning("The database %s could not be tidied up on closing: %s", path, problem)
