"""The session store in one SQLite file, through aiosqlite. docs/history.md shows it to people."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from app.clock import Clock, timestamp
from app.core.history import TurnRead
from app.core.ports import (
    Calling,
    CutAnswer,
    KeptAnswer,
    KnownChat,
    KnownNode,
    NamedAnswer,
    NewNode,
    NewSession,
    NodeEnd,
    OpenNode,
    PathNode,
    Place,
    StoreOverview,
)
from app.core.window import Tail, TailTurn
from app.store import statements
from app.store.beginnings import Beginnings
from app.store.connection import Database
from app.store.deletions import SqliteDeletionQueue
from app.store.files import SqliteFileIndex
from app.store.journal import Journal
from app.store.opening import open_database
from app.store.rows import (
    Columns,
    read_answer,
    read_kept_answer,
    read_known_node,
    read_open_node,
    read_path_node,
    read_place,
    utf8,
)
from app.store.tails import TailQuery
from app.store.videos import SqliteVideoStore
from app.store.writes import Writes

BUSY_SECONDS = 5.0
CHECK_SECONDS = 5.0
_MOST_CUT = 64  # cut answers to one question in one place, the newest


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
    path = await asyncio.to_thread(path.resolve)  # by whichever name: lock and journal are named after it
    async with open_database(
        path, migrations, clock, busy_seconds=busy_seconds, check_seconds=check_seconds
    ) as database:
        beginnings = Beginnings(database, await asyncio.to_thread(Journal, path))
        try:
            await beginnings.adopt()
            yield SqliteSessionStore(database, beginnings, store_text=store_text)
        finally:
            await beginnings.close()


class SqliteSessionStore:
    """Implements `core.ports.SessionStore`. Every write is one transaction; one statement is one by itself.

    `files` is the index of files in the same database, `videos` are those that its sessions hold, `deletions` their
    chats that are to be deleted.
    """

    def __init__(self, database: Database, beginnings: Beginnings, *, store_text: bool) -> None:
        self.files = SqliteFileIndex(database)
        self.videos = SqliteVideoStore(database)
        self._writes = Writes(database, beginnings)
        self.deletions = SqliteDeletionQueue(database, self._writes)
        self._database = database
        self._beginnings = beginnings
        self._columns = Columns(store_text=store_text)

    async def find_turn(self, *turn_keys: str) -> Sequence[Place]:
        """Return the newest nodes with these turn keys: those with the first key first, then the newest first."""
        return await self._find(statements.FIND_TURN, turn_keys)

    async def find_step(self, *step_keys: str) -> Sequence[Place]:
        """Return the newest nodes with these step keys: those with the first key first, then the newest first."""
        return await self._find(statements.FIND_STEP, step_keys)

    async def _find(self, statement: str, keys: Sequence[str]) -> Sequence[Place]:
        return [self._place(row) for row in await self._database.read(statement, (_json(keys),))]

    def _place(self, row: sqlite3.Row) -> Place:
        place = read_place(row)
        if not place.has_children and self._beginnings.follows(place.node_id):
            return replace(place, has_children=True)
        return place

    async def find_calls(self, call_ids: Sequence[str], scope: str) -> Mapping[str, Calling]:
        """Return the nodes that made these tool calls, by call id; calls that nobody made are left out."""
        rows = await self._database.read(statements.FIND_CALLS, {"ids": json.dumps(call_ids), "scope": scope})
        return {row["key"]: Calling(self._place(row), TailTurn(row["user_key"] or "", row["asked"])) for row in rows}

    async def find_answer(self, node_id: str, owner: str) -> NamedAnswer | None:
        """Return an owner's answer by the id that its node had when it began, None if there is none."""
        rows = await self._database.read(statements.FIND_ANSWER, {"id": utf8(node_id), "owner": owner})
        return read_answer(rows[0], self._place(rows[0])) if rows else None

    async def kept_answer(self, node_id: str, owner: str) -> KeptAnswer | None:
        """Return what is kept of an owner's answer, by the name that `find_answer` takes; None if there is none."""
        rows = await self._database.read(statements.KEPT_ANSWER, {"id": utf8(node_id), "owner": owner})
        return read_kept_answer(rows[0]) if rows else None

    async def path(self, node_id: str, *, whole: bool) -> Sequence[PathNode]:
        """Return the nodes that lead to one, itself the last: from the chat's first, or else from its turn's."""
        rows = await self._database.read(statements.PATH, {"id": node_id, "whole": whole})
        return [read_path_node(row) for row in rows]

    async def made_calls(self, call_ids: Sequence[str], owner: str) -> Sequence[tuple[str | None, tuple[str, ...]]]:
        """Return of an owner's answers that made any of these calls the text, where it is kept, and all call ids."""
        rows = await self._database.read(statements.MADE_CALLS, {"ids": _json(call_ids), "owner": owner})
        return [(row["answer"], tuple(json.loads(row["calls"]))) for row in rows]

    async def answer_text(self, node_id: str) -> str | None:
        """Return the raw text of a stored answer, None where it is not kept."""
        rows = await self._database.read(statements.ANSWER_TEXT, (node_id,))
        return rows[0]["answer_text"] if rows else None

    async def find_tails(
        self, newest_first: Sequence[TurnRead], scope: str, *, same_user: bool, limit: int
    ) -> Sequence[Tail]:
        """Return stored conversations that end with these answers, at most the `limit` newest that end with the last.

        `same_user`: only those with the same last user text. `scope` is the key before a first turn.
        """
        return await self._database.consult(TailQuery(newest_first, scope, same_user, limit).read)

    async def find_cut(self, *asked_keys: str) -> Sequence[CutAnswer]:
        """Return answers to what these keys name that were cut or recovered, the newest first."""
        values = {"keys": _json(asked_keys), "limit": _MOST_CUT}
        rows = await self._database.read(statements.FIND_CUT, values)
        return [CutAnswer(self._place(row), row["answered_text"] or "", row["answer_text"]) for row in rows]

    async def known_chat(self, chat_id: str) -> KnownChat | None:
        """Return what is stored of a chat."""
        rows = await self._database.read(statements.KNOWN_CHAT, (chat_id,))
        if not rows:
            return None
        session = rows[0]
        return KnownChat(
            session_id=session["id"],
            owner=session["owner"],
            live=session["state"] == "live",
            is_open=bool(session["is_open"]),
            known_until=datetime.fromisoformat(session["known_until"]) if session["known_until"] else None,
            nodes=await self._known_nodes(session["id"]),
        )

    async def saw_chat(self, chat_id: str, updated_at: datetime) -> None:
        """Note how new the site's copy of a stored chat was when it was read."""
        await self._writes.execute(statements.SAW_CHAT, (timestamp(updated_at), chat_id))

    async def _known_nodes(self, session_id: str) -> Mapping[str, KnownNode]:
        rows = await self._database.read(statements.KNOWN_NODES, (session_id,))
        return {row["response_id"]: read_known_node(row) for row in rows}

    def open_turn(self, node: NewNode, session: NewSession | None, at: datetime) -> "asyncio.Future[None]":
        """Record a message before it is sent; with `session` also the new chat that it opens.

        Nobody was told of it yet, so it need not survive a loss of power: a journal keeps it until it is written with
        its end, or after a second.
        """
        return self._beginnings.begin(self._columns.of_opening(node, session, timestamp(at)))

    def finish_turn(self, end: NodeEnd, at: datetime) -> "asyncio.Future[None]":
        """Record how the answer ended. Durable when it is done. Only a node's first end counts."""
        return self._beginnings.end(self._columns.of_ending(end, timestamp(at)))

    async def interrupted(self, at: datetime) -> Sequence[OpenNode]:
        """At the start: return the answers that a stop left open, and let held deletions go.

        An answer in a chat that is to be deleted is marked as failed instead.
        """
        await self._writes.execute_all(
            (statements.FAIL_OPEN_NODES, (timestamp(at),)),
            (statements.RELEASE_ALL, (timestamp(at),)),
        )
        return [
            read_open_node(row, await self._known_nodes(row["session_id"]))
            for row in await self._database.read(statements.OPEN_NODES, ())
        ]

    async def forget(self, session_id: str, reason: str, at: datetime) -> None:
        """Upstream lost this chat: nothing continues from it any more. Its history stays."""
        await self._writes.execute_all(
            (statements.FORGET_KEYS, (session_id,)),
            (statements.FORGET_SESSION, (utf8(reason), timestamp(at), session_id)),
        )

    async def release(self, session_id: str, due: datetime) -> None:
        """Let a held deletion be tried from `due` on."""
        await self._writes.execute(statements.RELEASE_ONE, (timestamp(due), session_id))

    async def doom(self, session_id: str, reason: str, at: datetime, due: datetime) -> None:
        """Queue a live session's chat for deletion from `due` on; nothing continues from it any more."""
        doomed = {"id": session_id, "reason": utf8(reason), "at": timestamp(at), "due": timestamp(due)}
        await self._writes.execute_all(
            (statements.DOOM_ONE, doomed),
            (statements.DOOM_KEYS, ()),
            (statements.DOOM_SESSIONS, (doomed["reason"], doomed["at"])),
        )

    async def overview(self) -> StoreOverview:
        """Count what is stored."""
        rows = await self._database.read(statements.OVERVIEW, ())
        return StoreOverview(rows[0]["sessions"], rows[0]["nodes"], rows[0]["deletions"])

    async def size(self) -> int:
        """Return the size of the database in bytes, without what waits in its journal."""
        rows = await self._database.read(statements.SIZE, ())
        return int(rows[0]["bytes"])


def _json(keys: Sequence[object]) -> str:
    """Write keys of our own; ids that a client made may hold what has no UTF-8."""
    return msgspec.json.encode(keys).decode()
