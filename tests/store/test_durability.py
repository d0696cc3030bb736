"""What waits for the disk, and for how long a start waits: another program's lock, a look for damage."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import aiosqlite
import pytest

from app.clock import SystemClock
from app.store.beginnings import Beginnings
from app.store.connection import Database, connect
from app.store.journal import Journal
from app.store.opening import closing as closing_later
from app.store.sqlite import SqliteSessionStore, open_sqlite
from app.store.turns import PREPARE
from tests.store.making import MIGRATIONS, beside, change, end, make, minute, node, session

ROWS = 2000  # of a table whose every row takes the check some milliseconds
SLOW = (
    "CREATE TABLE slow (n INTEGER CHECK (instr(hex(zeroblob(1000000 + n)), 'x') = 0)) STRICT",
    "PRAGMA ignore_check_constraints = ON",
    "INSERT INTO slow WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted LIMIT "
    f"{ROWS}) SELECT n FROM counted",
)
NORMAL, FULL = 1, 2  # SQLite's numbers; only a FULL commit waits until the disk has it


@dataclass(frozen=True)
class Opened:
    """A store, and what it writes by."""

    store: SqliteSessionStore
    database: Database
    writer: aiosqlite.Connection

    async def mode(self) -> int:
        """Return how the last transaction was committed."""
        [row] = await self.writer.execute_fetchall("PRAGMA synchronous")
        return int(row[0])


@asynccontextmanager
async def by_hand(path: Path) -> AsyncIterator[Opened]:
    await make(path)
    async with AsyncExitStack() as stack:
        writer, reader = [
            await stack.enter_async_context(closing_later(await connect(path, busy_seconds=1, read_only=read_only)))
            for read_only in (False, True)
        ]
        await writer.executescript(PREPARE)
        database = Database(writer, reader, path)
        beginnings = Beginnings(database, await asyncio.to_thread(Journal, path))
        yield Opened(SqliteSessionStore(database, beginnings, store_text=True), database, writer)


async def test_the_end_of_a_turn_waits_for_the_disk_whatever_was_written_before_it(path: Path) -> None:
    async with by_hand(path) as opened:
        store, at = opened.store, minute(30)
        await store.open_turn(node("x1", "x"), session("x"), at)
        await store.finish_turn(end("x1", turn_key="key-x1"), at)
        assert await opened.mode() == FULL
        await opened.database.execute("DELETE FROM nodes WHERE id = 'nobody'", (), durable=False)
        assert await opened.mode() == NORMAL
        await store.open_turn(node("x2", "x", parent="x1", depth=2), None, at)
        await store.finish_turn(end("x2", turn_key="key-x2"), at)
        assert await opened.mode() == FULL


def note(connection: sqlite3.Connection, items: Sequence[int]) -> None:
    """Write nothing, but in a transaction."""
    connection.executemany("DELETE FROM nodes WHERE id = ?", [(f"nobody-{item}",) for item in items])


async def test_an_end_that_shares_its_transaction_waits_for_the_disk_too(path: Path) -> None:
    async with by_hand(path) as opened:
        await opened.store.open_turn(node("x1", "x"), session("x"), minute(30))
        under_way = opened.database.share(note, 1, durable=False)
        ending = opened.store.finish_turn(end("x1", turn_key="key-x1"), minute(30))
        await asyncio.gather(under_way, ending, opened.database.share(note, 2, durable=False))
        assert await opened.mode() == FULL


def served(path: Path) -> AbstractAsyncContextManager[SqliteSessionStore]:
    """Open the store as the program does, which leaves every time as it is."""
    return open_sqlite(path, MIGRATIONS, store_text=True, clock=SystemClock())


async def test_another_programs_lock_of_half_a_second_is_waited_out(path: Path) -> None:
    await make(path)
    async with served(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(store.saw_chat("chat-of-a", minute(30)))
            await asyncio.wait([writing], timeout=0.5)
            assert not writing.done()
            other.execute("COMMIT")
            await writing
        known = await store.known_chat("chat-of-a")
    assert known is not None
    assert known.known_until == minute(30)


class AheadLoop(asyncio.SelectorEventLoop):
    """A loop whose time a test puts forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_the_look_for_damage_is_given_up_after_five_seconds(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def start() -> float:
        await make(path)
        await asyncio.to_thread(change, path, *SLOW)
        await asyncio.to_thread(beside(path, ".lock").write_text, "4711")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, AheadLoop)
        began = loop.time()
        opening = asyncio.create_task(opened())
        while not opening.done() and loop.time() - began < 60:
            loop.ahead += 0.2
            await asyncio.sleep(0.005)
        took = loop.time() - began
        await opening
        return took

    async def opened() -> None:
        async with served(path) as store:
            assert await store.find_turn("key-a1")

    with asyncio.Runner(loop_factory=AheadLoop) as runner, caplog.at_level(logging.WARNING):
        assert 5 <= runner.run(start()) < 60
    assert "too large to be checked for damage in 5 seconds" in caplog.text
