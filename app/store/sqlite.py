"""The session store in one SQLite file, through aiosqlite. docs/history.md shows it to people."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from app.clock import Clock, timestamp
from app.core.ports import Deletion, NewNode, NewSession, NodeEnd, Place, StoreOverview
from app.store import statements
from app.store.connection import Database
from app.store.opening import open_database

BUSY_SECONDS = 5.0
CHECK_SECONDS = 5.0


@asynccontextmanager
async def open_sqlite(
    path: Path,
    migrations: Path,
    *,
    store_text: bool,
    clock: Clock,
    busy_seconds: float = BUSY_SECONDS,
    check_seconds: float = CHECK_SECONDS,
) -> AsyncIterator["SqliteSessionStore"]:
    """Open the store, made or migrated as needed. Raises StoreError, with the file left as it was.

    `store_text` False keeps hashes and lengths only. `busy_seconds`: how long another program's lock is waited out;
    `check_seconds`: how long the file may be looked through for damage after an unclean stop.
    """
    async with open_database(
        path, migrations, clock, busy_seconds=busy_seconds, check_seconds=check_seconds
    ) as database:
        yield SqliteSessionStore(database, store_text=store_text)


def _utf8(text: str) -> str:
    """Make a text storable: half a surrogate pair, which JSON may carry, has no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


class SqliteSessionStore:
    """Implements `core.ports.SessionStore`. Every method is one transaction; one statement is one by itself."""

    def __init__(self, database: Database, *, store_text: bool) -> None:
        self._database = database
        self._store_text = store_text

    async def find_turn(self, turn_key: str) -> Place | None:
        """Return the newest node with this turn key, if any."""
        return await self._find(statements.FIND_TURN, turn_key)

    async def find_step(self, step_key: str) -> Place | None:
        """Return the newest node with this step key, if any."""
        return await self._find(statements.FIND_STEP, step_key)

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
            await self._database.execute(statements.ADD_NODE, values, durable=False)
            return
        async with self._database.transaction(durable=False) as connection:
            await connection.execute(statements.ADD_SESSION, self._session_values(session, at))
            await connection.execute(statements.ADD_NODE, values)
            if session.delete_because:
                held = (session.chat_id, _utf8(session.delete_because), timestamp(at))
                await connection.execute(statements.HOLD_DELETION, held)

    def _session_values(self, session: NewSession, at: datetime) -> dict[str, object]:
        return {
            "id": session.id,
            "owner": session.owner,
            "account": session.account,
            "chat_id": session.chat_id,
            "model": session.model,
            "title": self._text(session.title),
            "state": "doomed" if session.delete_because else "live",
            "reason": None if session.delete_because is None else _utf8(session.delete_because),
            "at": timestamp(at),
        }

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
        """Keep a text, or nothing of it where the owner wants no texts."""
        return None if text is None or not self._store_text else _utf8(text)

    async def finish_turn(self, end: NodeEnd, at: datetime) -> None:
        """Record how the answer ended. Durable when this returns. Only a node's first end counts."""
        values = {
            "id": end.node_id,
            "state": end.state,
            "response_id": end.response_id,
            "answer": self._text(end.answer_text),
            "answer_chars": len(end.answer_text),
            "reasoning": self._text(end.reasoning_text),
            "finish_reason": end.finish_reason,
            "error": None if end.error is None else _utf8(end.error),
            "input_tokens": end.input_tokens,
            "output_tokens": end.output_tokens,
            "at": timestamp(at),
            "turn_key": end.turn_key,
            "step_key": end.step_key,
        }
        await self._database.execute(statements.END_NODE, values)

    async def fail_interrupted(self, at: datetime) -> int:
        """At the start: mark every node that is still open as failed, release held deletions; return the nodes."""
        async with self._database.transaction() as connection:
            failed = await connection.execute(statements.FAIL_OPEN_NODES, (timestamp(at),))
            await connection.execute(statements.RELEASE_ALL, (timestamp(at),))
        return failed.rowcount

    async def forget(self, session_id: str, reason: str, at: datetime) -> None:
        """Upstream lost this chat: nothing continues from it any more. Its history stays."""
        async with self._database.transaction() as connection:
            await connection.execute(statements.FORGET_KEYS, (session_id,))
            await connection.execute(statements.FORGET_SESSION, (_utf8(reason), timestamp(at), session_id))

    async def release(self, session_id: str, due: datetime) -> None:
        """Let a held deletion be tried from `due` on."""
        await self._database.execute(statements.RELEASE_ONE, (timestamp(due), session_id))

    async def doom(self, session_id: str, reason: str, at: datetime, due: datetime) -> None:
        """Queue a live session's chat for deletion from `due` on; nothing continues from it any more."""
        doomed = {"id": session_id, "reason": _utf8(reason), "at": timestamp(at), "due": timestamp(due)}
        async with self._database.transaction() as connection:
            await connection.execute(statements.DOOM_ONE, doomed)
            await connection.execute(statements.DOOM_KEYS)
            await connection.execute(statements.DOOM_SESSIONS, (doomed["reason"], doomed["at"]))

    async def doom_idle(self, before: datetime, at: datetime, limit: int) -> int:
        """Doom up to `limit` sessions last used before that moment, without an open node; return how many."""
        async with self._database.transaction() as connection:
            idle = {"at": timestamp(at), "before": timestamp(before), "limit": limit}
            doomed = await connection.execute(statements.DOOM_IDLE, idle)
            if doomed.rowcount:
                await connection.execute(statements.DOOM_KEYS)
                await connection.execute(statements.DOOM_SESSIONS, ("retention", timestamp(at)))
        return doomed.rowcount

    async def due_deletions(self, account: str, at: datetime, limit: int) -> Sequence[Deletion]:
        """Return deletions of this account's chats that are due, longest overdue first."""
        rows = await self._database.read(statements.DUE_DELETIONS, (timestamp(at), account, limit))
        return [Deletion(row["chat_id"], row["attempts"]) for row in rows]

    async def next_deletion_due(self, account: str) -> datetime | None:
        """Return when the next deletion that is not held is due, None if there is none."""
        rows = await self._database.read(statements.NEXT_DELETION, (account,))
        due = rows[0]["due"]
        return None if due is None else datetime.fromisoformat(due)

    async def deletion_done(self, chat_id: str, at: datetime) -> None:
        """The chat is gone upstream; its history stays."""
        async with self._database.transaction() as connection:
            await connection.execute(statements.DROP_DELETION, (chat_id,))
            await connection.execute(statements.END_SESSION, (timestamp(at), chat_id))

    async def deletion_failed(self, chat_id: str, error: str, at: datetime, due: datetime) -> None:
        """A try failed: count it, and try again at `due`."""
        said = f"{timestamp(at)} {_utf8(error)}"
        await self._database.execute(statements.PUT_OFF_DELETION, (said, timestamp(due), chat_id))

    async def overview(self) -> StoreOverview:
        """Count what is stored."""
        rows = await self._database.read(statements.OVERVIEW, ())
        return StoreOverview(rows[0]["sessions"], rows[0]["nodes"], rows[0]["deletions"])
