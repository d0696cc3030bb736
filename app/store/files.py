"""Stored files and uploads in the SQLite file (docs/files-and-media.md)."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from app.clock import timestamp
from app.core.attachments import FileKind
from app.core.ports import StoredFile, UploadedFile
from app.store.connection import Database

_ADD_FILE = """
    INSERT INTO files (id, owner, name, purpose, bytes, sha256, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_FIND_FILE = "SELECT * FROM files WHERE id = :id AND owner = :owner"
_LIST_FILES = """
    SELECT f.* FROM files f INDEXED BY files_by_owner
    WHERE f.owner = :owner AND (:purpose IS NULL OR f.purpose = :purpose)
      AND f.number {beyond} coalesce((SELECT number FROM files WHERE id = :after AND owner = :owner), {edge})
    ORDER BY f.number {order} LIMIT :limit
"""
_OLDEST_FIRST = _LIST_FILES.format(beyond=">", edge="0", order="")
_NEWEST_FIRST = _LIST_FILES.format(beyond="<", edge="9e18", order="DESC")
_REMOVE_FILE = "DELETE FROM files WHERE id = ? AND owner = ?"
_CONTENTS = "SELECT DISTINCT sha256, bytes FROM files"

_FIND_UPLOAD = """
    SELECT * FROM uploads WHERE account = ? AND sha256 = ? AND kind = ? AND expires_at > ?
"""
_KEEP_UPLOAD = """
    INSERT OR REPLACE INTO uploads (account, sha256, kind, file_id, name, bytes, reference, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_FORGET_ENDED = "DELETE FROM uploads WHERE expires_at < ?"


class SqliteFileIndex:
    """Implements `core.ports.FileIndex` and `core.ports.UploadIndex`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_file(self, file: StoredFile) -> None:
        """Remember a file whose content is in its place. Durable when this returns."""
        at = timestamp(file.created_at)
        values = (file.id, file.owner, file.name, file.purpose, file.size, file.sha256, at)
        await self._database.execute(_ADD_FILE, values)

    async def find_file(self, owner: str, file_id: str) -> StoredFile | None:
        """Return an owner's file."""
        rows = await self._database.read(_FIND_FILE, {"owner": owner, "id": file_id})
        return _file(rows[0]) if rows else None

    async def list_files(
        self, owner: str, *, after: str | None, limit: int, newest_first: bool, purpose: str | None
    ) -> Sequence[StoredFile]:
        """Return an owner's files in the order of their storing, those that come `after` a file."""
        values = {"owner": owner, "after": after, "limit": limit, "purpose": purpose}
        return [
            _file(row) for row in await self._database.read(_NEWEST_FIRST if newest_first else _OLDEST_FIRST, values)
        ]

    async def remove_file(self, owner: str, file_id: str) -> None:
        """Forget a file."""
        await self._database.execute(_REMOVE_FILE, (file_id, owner))

    async def contents(self) -> Mapping[str, int]:
        """Return the bytes of every content that some file has, by its sha256."""
        return {row["sha256"]: row["bytes"] for row in await self._database.read(_CONTENTS, ())}

    async def find_upload(self, account: str, sha256: str, kind: FileKind, until: datetime) -> UploadedFile | None:
        """Return what the account was given of a content, if it can be sent until then."""
        rows = await self._database.read(_FIND_UPLOAD, (account, sha256, kind, timestamp(until)))
        return _upload(rows[0]) if rows else None

    async def keep_upload(self, account: str, sha256: str, file: UploadedFile, at: datetime) -> None:
        """Remember what the account was given in the place of an earlier upload; forget what ended before `at`.

        An upload that a loss of power forgets is only made again, so it does not wait for the disk.
        """
        values = (account, sha256, file.kind, file.id, file.name, file.size, file.reference, timestamp(file.expires_at))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET_ENDED, (timestamp(at),))
            connection.execute(_KEEP_UPLOAD, values)

        await self._database.write(work, durable=False)

    async def forget_ended(self, at: datetime) -> None:
        """Forget uploads that ended before `at`."""
        await self._database.execute(_FORGET_ENDED, (timestamp(at),), durable=False)


def _file(row: sqlite3.Row) -> StoredFile:
    return StoredFile(
        id=row["id"],
        owner=row["owner"],
        name=row["name"],
        purpose=row["purpose"],
        size=row["bytes"],
        sha256=row["sha256"],
        created_at=datetime.fromisoformat(row["created_at"]),
    )


def _upload(row: sqlite3.Row) -> UploadedFile:
    return UploadedFile(
        id=row["file_id"],
        kind=row["kind"],
        name=row["name"],
        size=row["bytes"],
        reference=row["reference"],
        expires_at=datetime.fromisoformat(row["expires_at"]),
    )
