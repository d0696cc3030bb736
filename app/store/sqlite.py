"""The session store in one SQLite file, through aiosqlite. docs/history.md shows it to people."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import aiosqlite

from app.clock import Clock, timestamp
from app.core.ports import Deletion, NewNode, NewSession, NodeEnd, Place, StoreOverview
from app.errors import StoreUnusable
from app.store.connection import Database, connect, store_errors
from app.store.lock import DatabaseLock
from app.store.migrate import migrate, read_migrations

_log = logging.getLogger(__name__)
BUSY_SECONDS = 5.0
CHECK_SECONDS = 5.0

_FIND = """
    SELECT n.id AS node_id, n.session_id, s.chat_id, n.response_id, n.system_digest, n.depth,
           EXISTS (SELECT 1 FROM nodes c WHERE c.parent_id = n.id) AS has_children
    FROM nodes n JOIN sessions s ON s.id = n.session_id
    WHERE n.{key} = ?
    ORDER BY n.number DESC LIMIT 1
"""
_FIND_TURN = _FIND.format(key="turn_key")
_FIND_STEP = _FIND.format(key="step_key")

_ADD_SESSION = """
    INSERT INTO sessions (id, owner, account, chat_id, model, title, state, state_reason, created_at, last_used_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_NODE = """
    INSERT INTO nodes (id, session_id, parent_id, depth, match, model, user_text, sent_text, user_chars,
                       system_digest, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_END_NODE = """
    UPDATE nodes
    SET state = ?, response_id = ?, answer_text = ?, answer_chars = ?, reasoning_text = ?, finish_reason = ?, error = ?,
        input_tokens = ?, output_tokens = ?, finished_at = ?,
        turn_key = CASE WHEN live THEN ? END, step_key = CASE WHEN live THEN ? END
    FROM (SELECT s.state = 'live' AS live FROM sessions s JOIN nodes n ON n.session_id = s.id WHERE n.id = ?)
    WHERE id = ? AND state = 'open'
"""
_WITHOUT_KEYS = "UPDATE nodes SET turn_key = NULL, step_key = NULL WHERE session_id = ?"


@asynccontextmanager
async def open_sqlite(
    path: Path, migrations: Path, *, store_text: bool, clock: Clock, busy_seconds: float = BUSY_SECONDS
) -> AsyncIterator["SqliteSessionStore"]:
    """Open the store, made or migrated as needed. Raises StoreUnusable, with the file left as it was.

    `store_text` False keeps hashes and lengths only.
    """
    lock = DatabaseLock(path)
    known = await asyncio.to_thread(read_migrations, migrations)
    unclean = await asyncio.to_thread(_prepare, path, lock)
    try:
        with store_errors(path):
            async with closing(await connect(path, busy_seconds=busy_seconds)) as writer:
                if unclean:
                    await check_quickly(writer, path)
                await migrate(writer, path, known, clock)
                async with (
                    closing(await connect(path, busy_seconds=busy_seconds, synchronous="NORMAL")) as swift,
                    closing(await connect(path, busy_seconds=busy_seconds, read_only=True)) as reader,
                ):
                    yield SqliteSessionStore(Database(writer, swift, reader, path), store_text=store_text)
                await writer.execute("PRAGMA optimize")
                await writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        await asyncio.to_thread(lock.release)


@asynccontextmanager
async def closing(connection: aiosqlite.Connection) -> AsyncIterator[aiosqlite.Connection]:
    """Close the connection at the end, whatever happens."""
    try:
        yield connection
    finally:
        await connection.close()


async def check_quickly(connection: aiosqlite.Connection, path: Path) -> None:
    """After an unclean stop look for damage, for a few seconds at most. Raises StoreUnusable if there is some."""
    check = asyncio.ensure_future(connection.execute_fetchall("PRAGMA quick_check(1)"))
    await asyncio.wait([check], timeout=CHECK_SECONDS)
    if not check.done():
        await connection.interrupt()
        await asyncio.wait([check])
        _log.info("The database %s is too large to be checked for damage in %g seconds", path, CHECK_SECONDS)
        return
    found = str(next(iter(check.result()))[0])
    if found != "ok":
        raise StoreUnusable(f"The database {path} is damaged ({found}). Restore a backup of it, or move it away.")


def _prepare(path: Path, lock: DatabaseLock) -> bool:
    """Make folder and file with modes that keep other users out; return whether the last stop was unclean."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unclean = lock.acquire()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as problem:
        raise StoreUnusable(f"The database {path} cannot be opened for writing: {problem.strerror}.") from problem
    return unclean


class SqliteSessionStore:
    """Implements `core.ports.SessionStore`. Every method is one transaction; one statement is one by itself."""

    def __init__(self, database: Database, *, store_text: bool) -> None:
        self._database = database
        self._store_text = store_text

    async def find_turn(self, turn_key: str) -> Place | None:
        """Return the newest node with this turn key, if any."""
        return await self._find(_FIND_TURN, turn_key)

    async def find_step(self, step_key: str) -> Place | None:
        """Return the newest node with this step key, if any."""
        return await self._find(_FIND_STEP, step_key)

    async def _find(self, statement: str, key: str) -> Place | None:
        for row in await self._database.read(statement, (key,)):
            return Place(
                node_id=row["node_id"],
                session_id=row["session_id"],
                chat_id=row["chat_id"],
                response_id=row["response_id"],
                system_digest=row["system_digest"],
                depth=row["depth"],
                has_children=bool(row["has_children"]),
            )
        return None

    async def open_turn(self, node: NewNode, session: NewSession | None, at: datetime) -> None:
        """Record a message before it is sent; with `session` also the new chat that it opens.

        Nobody was told of it yet, so it need not survive a loss of power: it does not wait for the disk.
        """
        values = self._node_values(node, at)
        if session is None:
            await self._database.execute(_ADD_NODE, values, durable=False)
            return
        async with self._database.transaction(durable=False) as connection:
            await connection.execute(_ADD_SESSION, self._session_values(session, at))
            await connection.execute(_ADD_NODE, values)
            if session.delete_because:
                await connection.execute(
                    "INSERT INTO deletions (chat_id, reason, created_at) VALUES (?, ?, ?)",
                    (session.chat_id, session.delete_because, timestamp(at)),
                )

    def _session_values(self, session: NewSession, at: datetime) -> tuple[object, ...]:
        return (
            session.id,
            session.owner,
            session.account,
            session.chat_id,
            session.model,
            self._text(session.title),
            "doomed" if session.delete_because else "live",
            session.delete_because,
            timestamp(at),
            timestamp(at),
        )

    def _node_values(self, node: NewNode, at: datetime) -> tuple[object, ...]:
        return (
            node.id,
            node.session_id,
            node.parent_id,
            node.depth,
            node.match,
            node.model,
            self._text(node.user_text),
            self._text(node.sent_text),
            len(node.user_text),
            node.system_digest,
            timestamp(at),
        )

    def _text(self, text: str | None) -> str | None:
        """Keep a text, or only its length where the owner wants no texts; half a surrogate pair has no UTF-8."""
        if text is None or not self._store_text:
            return None
        return text.encode("utf-8", "replace").decode("utf-8")

    async def finish_turn(self, end: NodeEnd, at: datetime) -> None:
        """Record how the answer ended. Durable when this returns."""
        await self._database.execute(
            _END_NODE,
            (
                end.state,
                end.response_id,
                self._text(end.answer_text),
                len(end.answer_text),
                self._text(end.reasoning_text),
                end.finish_reason,
                end.error,
                end.input_tokens,
                end.output_tokens,
                timestamp(at),
                end.turn_key,
                end.step_key,
                end.node_id,
                end.node_id,
            ),
        )

    async def fail_interrupted(self, at: datetime) -> int:
        """At the start: mark every node that is still open as failed, release held deletions; return the nodes."""
        async with self._database.transaction() as connection:
            failed = await connection.execute(
                "UPDATE nodes SET state = 'failed', error = 'interrupted by a restart', finished_at = ? "
                "WHERE state = 'open'",
                (timestamp(at),),
            )
            await connection.execute("UPDATE deletions SET due_at = ? WHERE due_at IS NULL", (timestamp(at),))
        return failed.rowcount

    async def forget(self, session_id: str, reason: str, at: datetime) -> None:
        """Upstream lost this chat: nothing continues from it any more. Its history stays."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE sessions SET state = 'gone', state_reason = ?, last_used_at = ? WHERE id = ?",
                (reason, timestamp(at), session_id),
            )
            await connection.execute(_WITHOUT_KEYS, (session_id,))

    async def release(self, session_id: str, due: datetime) -> None:
        """Let a held deletion be tried from `due` on."""
        await self._database.execute(
            "UPDATE deletions SET due_at = ? "
            "WHERE due_at IS NULL AND chat_id = (SELECT chat_id FROM sessions WHERE id = ?)",
            (timestamp(due), session_id),
        )

    async def doom_idle(self, before: datetime, at: datetime, limit: int) -> int:
        """Doom up to `limit` sessions last used before that moment, without an open node; return how many."""
        async with self._database.transaction() as connection:
            idle = await connection.execute_fetchall(
                "SELECT id, chat_id FROM sessions WHERE state = 'live' AND last_used_at < ? "
                "AND NOT EXISTS (SELECT 1 FROM nodes WHERE session_id = sessions.id AND state = 'open') "
                "ORDER BY last_used_at LIMIT ?",
                (timestamp(before), limit),
            )
            for row in idle:
                await connection.execute(
                    "UPDATE sessions SET state = 'doomed', state_reason = 'retention' WHERE id = ?", (row["id"],)
                )
                await connection.execute(_WITHOUT_KEYS, (row["id"],))
                await connection.execute(
                    "INSERT INTO deletions (chat_id, reason, due_at, created_at) VALUES (?, 'retention', ?, ?)",
                    (row["chat_id"], timestamp(at), timestamp(at)),
                )
        return len(list(idle))

    async def due_deletions(self, account: str, at: datetime, limit: int) -> Sequence[Deletion]:
        """Return deletions of this account's chats that are due, longest overdue first."""
        rows = await self._database.read(
            "SELECT d.chat_id, d.attempts FROM deletions d JOIN sessions s ON s.chat_id = d.chat_id "
            "WHERE d.due_at <= ? AND s.account = ? ORDER BY d.due_at LIMIT ?",
            (timestamp(at), account, limit),
        )
        return [Deletion(row["chat_id"], row["attempts"]) for row in rows]

    async def next_deletion_due(self, account: str) -> datetime | None:
        """Return when the next deletion that is not held is due, None if there is none."""
        rows = await self._database.read(
            "SELECT min(d.due_at) AS due FROM deletions d JOIN sessions s ON s.chat_id = d.chat_id WHERE s.account = ?",
            (account,),
        )
        due = rows[0]["due"]
        return None if due is None else datetime.fromisoformat(due)

    async def deletion_done(self, chat_id: str, at: datetime) -> None:
        """The chat is gone upstream."""
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM deletions WHERE chat_id = ?", (chat_id,))
            await connection.execute(
                "UPDATE sessions SET state = 'deleted', last_used_at = ? WHERE chat_id = ?", (timestamp(at), chat_id)
            )

    async def deletion_failed(self, chat_id: str, error: str, at: datetime, due: datetime) -> None:
        """A try failed: count it, and try again at `due`."""
        await self._database.execute(
            "UPDATE deletions SET attempts = attempts + 1, last_error = ?, due_at = ? WHERE chat_id = ?",
            (f"{timestamp(at)} {error}", timestamp(due), chat_id),
        )

    async def overview(self) -> StoreOverview:
        """Count what is stored."""
        rows = await self._database.read(
            "SELECT (SELECT count(*) FROM sessions) AS sessions, "
            "(SELECT coalesce(max(number), 0) FROM nodes) AS nodes, "
            "(SELECT count(*) FROM deletions) AS deletions",
            (),
        )
        return StoreOverview(rows[0]["sessions"], rows[0]["nodes"], rows[0]["deletions"])
