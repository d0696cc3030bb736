"""Bring a database file to the newest schema, or refuse it and leave it as it was (docs/architecture.md, Store)."""

import asyncio
import hashlib
import logging
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

from app.clock import Clock, timestamp
from app.errors import StoreUnusable

_log = logging.getLogger(__name__)
APPLICATION_ID = 0x51775468  # "QwTh", written into the file's header
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of SQL."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The file's fingerprint, by which an edited old file is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path) -> list[Migration]:
    """Read the folder's files in order. Raises StoreUnusable unless they are numbered from 1 without a gap."""
    migrations = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), 1):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != number:
            raise StoreUnusable(
                f"The migrations in {folder} must be numbered from 0001 without a gap: see {path.name}."
            )
        migrations.append(Migration(number, match[2], path.read_text("utf-8")))
    if not migrations:
        raise StoreUnusable(f"There are no migrations in {folder}; the installation is not complete.")
    return migrations


def refuse_foreign(path: Path, application_id: int, version: int, newest: int) -> None:
    """Raise StoreUnusable for a file of another program, or of a newer version of this one."""
    if application_id != APPLICATION_ID or version < 0:
        raise StoreUnusable(f"The file {path} belongs to another program; give DATABASE_URL a file of its own.")
    if version > newest:
        raise StoreUnusable(
            f"The database {path} was written by a newer qwen-thread (schema {version}, this program knows {newest}). "
            "Run the newer program, or restore the backup beside the file."
        )


async def migrate(connection: aiosqlite.Connection, path: Path, migrations: list[Migration], clock: Clock) -> None:
    """Apply what is missing, each file in its own transaction. Raises StoreUnusable for a file that is not ours."""
    version, backup = await _value(connection, "PRAGMA user_version"), None
    if version == 0:
        await connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        await connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        application_id = await _value(connection, "PRAGMA application_id")
        refuse_foreign(path, application_id, version, len(migrations))
        await _refuse_edited(connection, path, migrations)
        if version < len(migrations):
            backup = await _back_up(connection, path, version)
    await connection.execute_fetchall("PRAGMA journal_mode = WAL")  # a restored backup has lost it
    for migration in migrations[version:]:
        await _apply(connection, migration, clock)
    if backup is not None:  # a table that is built anew leaves as much room behind as it takes
        await connection.executescript("PRAGMA incremental_vacuum")  # by `execute` it gives one page back
        await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        said = "The database was brought from schema %d to %d; as it was before it is in %s, which may be deleted"
        _log.info(said, version, len(migrations), backup)


async def _refuse_edited(connection: aiosqlite.Connection, path: Path, migrations: list[Migration]) -> None:
    known = {migration.number: migration.sha256 for migration in migrations}
    for row in await connection.execute_fetchall("SELECT number, name, sha256 FROM migrations"):
        if known[row["number"]] != row["sha256"]:
            raise StoreUnusable(
                f"The migration {row['number']:04d}_{row['name']}.sql was changed after {path} was made with it; "
                "restore the file as it was released."
            )


async def _back_up(connection: aiosqlite.Connection, path: Path, version: int) -> Path:
    backup = path.with_name(f"{path.name}.schema-{version}.backup")
    partial = backup.with_name(backup.name + ".partial")
    try:
        await asyncio.to_thread(_make_empty, partial)
        await connection.execute("VACUUM INTO ?", (str(partial),))
        await asyncio.to_thread(partial.replace, backup)
    except BaseException:
        await asyncio.to_thread(_discard, partial)  # on a full disk it takes the room that is left
        raise
    return backup


def _make_empty(partial: Path) -> None:
    """SQLite fills an empty file; one that we make is never readable to others."""
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _discard(partial: Path) -> None:
    for path in (partial, partial.with_name(f"{partial.name}-journal")):
        path.unlink(missing_ok=True)


async def _apply(connection: aiosqlite.Connection, migration: Migration, clock: Clock) -> None:
    applied = (
        f"INSERT INTO migrations VALUES ({migration.number}, '{migration.name}', '{timestamp(clock.now())}', "  # noqa: S608  # names and hashes of our own files
        f"'{migration.sha256}');"
    )
    script = f"BEGIN IMMEDIATE;\n{migration.sql}\n{applied}\nPRAGMA user_version = {migration.number};"
    await connection.execute("PRAGMA foreign_keys = OFF")
    astray = await _rows_astray(connection)
    try:
        await connection.executescript(script)
        if await _rows_astray(connection) > astray:
            raise sqlite3.IntegrityError(f"migration {migration.number} breaks foreign keys")
        await connection.execute("COMMIT")
    except BaseException:
        await connection.rollback()
        raise
    finally:
        await connection.execute("PRAGMA foreign_keys = ON")


async def _rows_astray(connection: aiosqlite.Connection) -> int:
    """Return how many rows refer to one that is not there; whoever wrote to the file by a shell may have left some."""
    return len(list(await connection.execute_fetchall("PRAGMA foreign_key_check")))


async def _value(connection: aiosqlite.Connection, statement: str) -> int:
    rows = list(await connection.execute_fetchall(statement))
    return int(rows[0][0])
