"""The videos that clients asked for, in the same SQLite file as their sessions."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from app.clock import timestamp
from app.core.ports import Video
from app.store.connection import Database

_ADD = "INSERT INTO videos (id, session_id, task_id, size, created_at) VALUES (?, ?, ?, ?, ?)"
_SHOWN = """v.id, v.session_id, s.account, v.task_id, s.model, v.size, v.state, v.url, v.error,
            v.created_at, v.finished_at"""
_OF_OWNER = f"SELECT {_SHOWN} FROM videos v JOIN sessions s ON s.id = v.session_id WHERE s.owner = :owner"  # noqa: S608 - put together from constants
_FIND = f"{_OF_OWNER} AND v.id = :id"
_AFTER = "AND (:after IS NULL OR v.number {than} (SELECT number FROM videos WHERE id = :after))"
_NEWEST_FIRST = f"{_OF_OWNER} {_AFTER.format(than='<')} ORDER BY v.number DESC LIMIT :limit"
_OLDEST_FIRST = f"{_OF_OWNER} {_AFTER.format(than='>')} ORDER BY v.number LIMIT :limit"
_END = "UPDATE videos SET state = ?, url = ?, error = ?, finished_at = ? WHERE id = ?"
_REMOVE = "DELETE FROM videos WHERE id = ?"


class SqliteVideoStore:
    """Implements `core.ports.VideoStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_video(self, video: Video) -> None:
        """Remember a video, whose session is stored. Durable when this returns."""
        values = (video.id, video.session_id, video.task_id, video.size, timestamp(video.created_at))
        await self._database.execute(_ADD, values)

    async def find_video(self, owner: str, video_id: str) -> Video | None:
        """Return an owner's video."""
        rows = await self._database.read(_FIND, {"owner": owner, "id": video_id})
        return _video(rows[0]) if rows else None

    async def list_videos(self, owner: str, *, after: str | None, limit: int, newest_first: bool) -> Sequence[Video]:
        """Return an owner's videos in the order of their making, those that come `after` one of them."""
        statement = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
        values = {"owner": owner, "after": after, "limit": limit}
        return [_video(row) for row in await self._database.read(statement, values)]

    async def end_video(self, video: Video) -> None:
        """Record what became of a video, or its new address."""
        finished = timestamp(video.finished_at) if video.finished_at else None
        await self._database.execute(_END, (video.state, video.url, video.error, finished, video.id))

    async def remove_video(self, video_id: str) -> None:
        """Forget a video."""
        await self._database.execute(_REMOVE, (video_id,))


def _video(row: sqlite3.Row) -> Video:
    return Video(
        id=row["id"],
        session_id=row["session_id"],
        account=row["account"],
        task_id=row["task_id"],
        model=row["model"],
        size=row["size"],
        created_at=datetime.fromisoformat(row["created_at"]),
        state=row["state"],
        url=row["url"] or "",
        error=row["error"] or "",
        finished_at=datetime.fromisoformat(row["finished_at"]) if row["finished_at"] else None,
    )
