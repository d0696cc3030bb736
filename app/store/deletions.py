"""The chats to delete, in the same SQLite file as their sessions."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.clock import timestamp
from app.core.ports import Deletion
from app.store import statements
from app.store.connection import Database
from app.store.rows import utf8
from app.store.writes import Writes


class SqliteDeletionQueue:
    """Implements `core.ports.DeletionQueue`."""

    def __init__(self, database: Database, writes: Writes) -> None:
        self._database = database
        self._writes = writes

    async def doom_idle(self, before: datetime, at: datetime, limit: int) -> int:
        """Doom up to `limit` sessions last used before that moment, without an open node; return how many."""
        idle = {"at": timestamp(at), "before": timestamp(before), "limit": limit}

        def work(connection: sqlite3.Connection) -> int:
            doomed = connection.execute(statements.DOOM_IDLE, idle).rowcount
            if doomed:
                connection.execute(statements.DOOM_KEYS)
                connection.execute(statements.DOOM_SESSIONS, ("retention", timestamp(at)))
            return doomed

        return await self._writes.run(work)

    async def due(self, account: str, at: datetime, limit: int) -> Sequence[Deletion]:
        """Return deletions of this account's chats that are due, longest overdue first."""
        times = {"now": timestamp(at), "in_an_hour": timestamp(at + timedelta(hours=1))}
        rows = await self._database.read(statements.DUE_DELETIONS, {**times, "account": account, "limit": limit})
        return [Deletion(row["chat_id"], row["attempts"]) for row in rows]

    async def elsewhere(self, account: str) -> int:
        """Count the deletions of other accounts' chats."""
        rows = await self._database.read(statements.DELETIONS_ELSEWHERE, (account,))
        return int(rows[0]["deletions"])

    async def next_due(self, account: str) -> datetime | None:
        """Return when the next deletion that is not held is due, None if there is none."""
        rows = await self._database.read(statements.NEXT_DELETION, (account,))
        due = rows[0]["due"]
        return None if due is None else datetime.fromisoformat(due)

    async def done(self, chat_id: str, at: datetime) -> None:
        """The chat is gone upstream; its history stays."""
        await self._writes.execute_all(
            (statements.DROP_DELETION, (chat_id,)),
            (statements.END_SESSION, (timestamp(at), chat_id)),
            (statements.FORGET_ERASED, (chat_id,)),
        )

    async def failed(self, chat_id: str, error: str, at: datetime, due: datetime) -> None:
        """A try failed: count it, and try again at `due`."""
        said = f"{timestamp(at)} {utf8(error)}"
        await self._writes.execute(statements.PUT_OFF_DELETION, (said, timestamp(due), chat_id))
